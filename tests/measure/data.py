"""Features with classes that overlap, and the processes that look at them."""

import torch

from dbot.measure.knn import LabelledFeatures


def blobs(count: int, width: int, classes: int, seed: int, spread: float = 1.0, scales: bool = False) -> LabelledFeatures:
    """Gaussian blobs around centres that are the same for every seed; with ``scales``, in units of their own per feature."""
    centres_CD = torch.randn(classes, width, generator=torch.Generator().manual_seed(99))
    draws = torch.Generator().manual_seed(seed)
    labels_N = torch.arange(count) % classes
    values_ND = centres_CD[labels_N] + spread * torch.randn(count, width, generator=draws)
    if scales:
        values_ND = 5 + values_ND * torch.logspace(-2, 2, width)
    return LabelledFeatures(values_ND, labels_N)
