"""How far attention reaches, in pixels of the image."""

import torch
from torch import Tensor


def patch_distances(grid: tuple[int, int], patch: tuple[int, int]) -> Tensor:
    """Distances between the centres of all patches in pixels: (P, P), float64, patches row by row.

    Args:
        grid: patches along (height, width).
        patch: a patch's (height, width) in pixels.
    """
    y, x = (torch.arange(count, dtype=torch.float64) * size for count, size in zip(grid, patch, strict=True))
    centres_P2 = torch.cartesian_prod(y, x)
    distances_PP: Tensor = torch.linalg.vector_norm(centres_P2.unsqueeze(1) - centres_P2, dim=-1)
    return distances_PP


def attention_distance(attention_BHNN: Tensor, distances_PP: Tensor, renormalise: bool = False) -> Tensor:
    """Distance to the patches that a patch attends to, weighted by its attention, averaged over all patches: (B, H), in pixels.

    Rows and columns of the tokens before the patches are dropped. As published, what a patch
    attends to the class token then counts as no distance at all.

    Args:
        attention_BHNN: probabilities, the patches' tokens last.
        distances_PP: between patches, in pixels; of the attention's type and device.
        renormalise: divide by what a patch attends to patches, image by image.
    """
    patches = len(distances_PP)
    among_BHPP = attention_BHNN[..., -patches:, -patches:]
    reach_BHP = (among_BHPP * distances_PP).sum(dim=-1)
    if renormalise:
        reach_BHP = reach_BHP / among_BHPP.sum(dim=-1)
    return reach_BHP.mean(dim=-1)
