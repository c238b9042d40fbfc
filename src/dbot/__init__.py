"""dbot: masked autoencoding with bootstrapped teachers (arXiv 2209.03917)."""

__version__ = "0.1.0"
