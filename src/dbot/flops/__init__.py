"""FLOPs of an image and numbers of weights, by network, from its configuration alone. Loads no torch."""
