"""How much of an image's tokens lies in a few directions."""

import torch
from torch import Tensor
from torch.nn import functional

TOP = 5
"""As many of the largest singular values are looked at, as published."""


def singular_shares(tokens_BPD: Tensor, top: int = TOP) -> Tensor:
    """Share of the largest 1, 2, ... singular values in the sum of all, image by image: (B, top), float64.

    Every token has length 1 first; nothing is centred, nothing squared (as published). Where
    there are fewer values than that, the last shares are 1.

    Args:
        tokens_BPD: an image's patch tokens, without class token.
        top: how many shares.
    """
    unit_BPD = functional.normalize(tokens_BPD.double(), dim=-1)
    # Roots of the eigenvalues of the smaller Gram matrix. In float64 that leaves an error of 1e-8 of
    # the largest, and takes a fraction of a decomposition's time, on a GPU above all.
    unit_BSL = unit_BPD if unit_BPD.shape[1] <= unit_BPD.shape[2] else unit_BPD.mT
    values_BS = torch.linalg.eigvalsh(unit_BSL @ unit_BSL.mT).clamp(min=0).sqrt().flip(-1)
    largest_BK = functional.pad(values_BS[:, :top], (0, max(0, top - values_BS.shape[1])))
    shares_BK: Tensor = largest_BK.cumsum(dim=-1) / values_BS.sum(dim=-1, keepdim=True)
    return shares_BK
