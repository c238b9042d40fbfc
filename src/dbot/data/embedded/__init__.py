"""The embedded data sets: real digits on real photographs, drawn from packages that install with pip."""
