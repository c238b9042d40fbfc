"""Block-wise masks: rectangles of patches that the student doesn't see (BEiT, arXiv 2106.08254, algorithm 1)."""

import math
from random import Random

import torch
from torch import Tensor

from dbot.params.recipes import Blocks

TRIES = 10
"""How often a block is drawn anew before the mask is left as it is."""


def block_mask(grid: int, blocks: Blocks, draws: Random) -> Tensor:
    """A mask of rectangles with at most ``blocks.patches`` patches: bool (grid²), true where masked.

    Rectangles are added until the number is reached, or until none of some tries fits; most masks
    reach it, the others stay a few patches below.

    Args:
        grid: patches along one side.
        blocks: the configuration.
        draws: source of all draws.
    """
    mask = torch.zeros(grid, grid, dtype=torch.bool)
    left = blocks.patches
    while left > 0 and (added := _add_block(mask, left, blocks, draws)):
        left -= added
    return mask.flatten()


def _add_block(mask: Tensor, left: int, blocks: Blocks, draws: Random) -> int:
    """Mask one more rectangle that adds between 1 and ``left`` patches, in place; how many it added, 0 if none was found."""
    grid = len(mask)
    for _ in range(TRIES):
        area = draws.uniform(blocks.minimum, left)
        aspect = math.exp(draws.uniform(math.log(blocks.aspect), -math.log(blocks.aspect)))
        height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if height >= grid or width >= grid:
            continue
        top, start = draws.randint(0, grid - height), draws.randint(0, grid - width)
        block = mask[top : top + height, start : start + width]
        added = height * width - int(block.sum())
        if 0 < added <= left:
            block.fill_(True)
            return added
    return 0
