"""FLOPs of an image and numbers of weights, by network, from its figures alone. Loads no torch."""
