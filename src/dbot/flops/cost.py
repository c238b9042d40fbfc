"""FLOPs of a network for one image, by the precision in which they are done.

Counted are matrix products and convolutions, two operations for each multiplication with an
addition. Norms, activations, softmax, losses, the optimizer and all that happens to pixels are not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cost:
    """FLOPs of the forward pass of one image."""

    first: float = 0.0
    """Of the first layer, whose input needs no gradient."""
    inner: float = 0.0
    """Of all other layers in the recipe's precision."""
    blocks: float = 0.0
    """Those of them that checkpointing computes once more in the backward pass: transformer blocks."""
    full: float = 0.0
    """Of layers that compute in float32 whatever the recipe says."""

    def __add__(self, other: "Cost") -> "Cost":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Cost(*(mine + theirs for mine, theirs in pairs))

    def inference(self, precision: str) -> "Flops":
        """A forward pass."""
        return Flops({precision: self.first + self.inner}) + Flops({"fp32": self.full})

    def training(self, precision: str, checkpointing: bool = False) -> "Flops":
        """Forward and backward; a layer's gradients cost as much as it does, once for its weights and once for its input."""
        return Flops({precision: 2 * self.first + 3 * self.inner + checkpointing * self.blocks}) + Flops({"fp32": 3 * self.full})


@dataclass(frozen=True)
class Flops:
    """FLOPs of one image by precision."""

    by_precision: Mapping[str, float] = field(default_factory=dict)

    def __add__(self, other: "Flops") -> "Flops":
        names = [*self.by_precision, *(name for name in other.by_precision if name not in self.by_precision)]
        return Flops({name: self.by_precision.get(name, 0.0) + other.by_precision.get(name, 0.0) for name in names})

    @property
    def total(self) -> float:
        return sum(self.by_precision.values())


def linear(rows: float, inputs: float, outputs: float) -> float:
    """A linear layer, or a 1x1 convolution, on so many rows (or places)."""
    return 2 * rows * inputs * outputs


def convolution(places: float, inputs: float, outputs: float, kernel: int) -> float:
    """A convolution that gives so many places."""
    return 2 * places * inputs * outputs * kernel**2
