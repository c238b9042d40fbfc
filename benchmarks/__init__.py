"""Programs that measure speed, each of which writes a table; `make bench` runs them all, docs/speed.md tells what they found."""
