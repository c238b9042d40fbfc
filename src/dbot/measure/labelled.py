"""What the probes work on."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class LabelledFeatures:
    """Features of images, with their classes."""

    values_ND: Tensor
    """float32, on the CPU."""
    labels_N: Tensor
    """int64, on the CPU; numbers of classes, from 0."""

    def __len__(self) -> int:
        return len(self.labels_N)
