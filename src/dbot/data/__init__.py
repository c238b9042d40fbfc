"""Data sets: what lies on disk, checked once and written down in a manifest that everything else reads."""
