"""Random masks: which patches the student sees."""

from typing import NamedTuple

import torch
from torch import Tensor


class Mask(NamedTuple):
    """A mask of a batch of B images with N patches, of which K are visible."""

    keep_BK: Tensor
    """Indices of the visible patches, in the order in which the encoder gets them."""
    restore_BN: Tensor
    """For every patch its place among visible-then-masked."""
    masked_BN: Tensor
    """1 where the patch is masked, else 0; float."""
    hidden_BM: Tensor
    """Indices of the M = N - K masked patches."""


def random_mask(noise_BN: Tensor, ratio: float) -> Mask:
    """Keep the int(N (1 - ratio)) patches with the smallest noise, in every image apart.

    Args:
        noise_BN: independent uniform noise; ties are broken by position.
        ratio: share of patches to mask.
    """
    patches = noise_BN.shape[1]
    visible = int(patches * (1 - ratio))
    shuffle_BN = noise_BN.argsort(dim=1, stable=True)
    restore_BN = shuffle_BN.argsort(dim=1, stable=True)
    masked_BN = (restore_BN >= visible).to(torch.float32)
    return Mask(shuffle_BN[:, :visible], restore_BN, masked_BN, shuffle_BN[:, visible:])
