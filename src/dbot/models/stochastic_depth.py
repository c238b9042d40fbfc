"""Drop path that keeps a fixed number of a batch's samples, so that a GPU too computes no branch that is dropped."""

import math

import torch
from timm.layers import DropPath
from torch import Tensor, nn


class SubsetDropPath(DropPath):  # type: ignore[misc] # timm is untyped
    """Keeps a residual branch for some samples of every batch, drawn anew each time, always as many (DINOv2, arXiv 2304.07193, section 5).

    What is kept is scaled by batch / kept, so the expectation is that of the whole branch, as with `DropPath`.
    """

    def subset(self, batch: int, device: torch.device) -> tuple[Tensor, float]:
        """Numbers of the samples that are kept, in any order, and the factor on their branch."""
        count = kept_of(batch, self.drop_prob)
        return torch.randperm(batch, device=device)[:count], batch / count

    def forward(self, branch_BLD: Tensor) -> Tensor:
        """A branch that was computed for all samples, where it is kept; `dbot.models.blocks` computes it for those that are kept alone."""
        if self.drop_prob == 0 or not self.training:
            return branch_BLD
        kept, scale = self.subset(len(branch_BLD), branch_BLD.device)
        return torch.zeros_like(branch_BLD).index_add(0, kept, branch_BLD.index_select(0, kept), alpha=scale)


def kept_of(batch: int, rate: float) -> int:
    """How many samples of a batch a drop path of this rate keeps: batch * (1 - rate), to the nearest whole number."""
    return batch - int(batch * rate + 0.5)


def least_batch(rate: float) -> int:
    """The fewest samples of which some are dropped and some are kept; 1 where none ever are dropped."""
    if rate == 0:
        return 1
    batch = math.ceil(0.5 / min(rate, 1 - rate))
    return batch if 0 < kept_of(batch, rate) < batch else batch + 1


def drop_subsets(model: nn.Module) -> None:
    """Put a `SubsetDropPath` of the same rate in the place of every drop path of timm's, in place."""
    for part in model.modules():
        for name, child in part.named_children():
            if isinstance(child, DropPath):
                setattr(part, name, SubsetDropPath(child.drop_prob))
