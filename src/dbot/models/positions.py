"""Position tables, and how they go to another grid."""

import math
from collections.abc import Mapping

import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor

from dbot.models.relative import TABLE, resize_relative_positions


def sincos_positions(width: int, grid: int) -> Tensor:
    """Fixed two-dimensional sin-cos table with a row of zeros for the class token.

    Half of the features encode the x coordinate and come first, half the y; each half is
    [sin, cos] of coordinate / 10000^(i / (width / 4)) (MAE, arXiv 2111.06377, appendix A.1).

    Args:
        width: embedding dimension D, a multiple of 4.
        grid: patches along one side.

    Returns:
        Table of shape (1, 1 + grid², D), float32.
    """
    frequency = 10000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width / 4))
    coordinate = torch.arange(grid, dtype=torch.float64)
    y, x = torch.meshgrid(coordinate, coordinate, indexing="ij")
    halves = []
    for axis in (x, y):
        angle = axis.reshape(-1, 1) * frequency
        halves += [angle.sin(), angle.cos()]
    table = torch.cat(halves, dim=1)
    return torch.cat([torch.zeros(1, width, dtype=torch.float64), table]).unsqueeze(0).float()


def resize_positions(table_1ND: Tensor, rows: int, columns: int) -> Tensor:
    """A square grid's position table on another grid, by plain bicubic interpolation.

    Without antialiasing, as the published code resizes them. What is more than a square comes first and stays:
    the class token, with registers behind it, or nothing.
    """
    prefix = table_1ND.shape[1] - math.isqrt(table_1ND.shape[1]) ** 2
    resized: Tensor = resample_abs_pos_embed(table_1ND, new_size=[rows, columns], num_prefix_tokens=prefix, antialias=False)
    return resized


def resize_to_grid(weights: Mapping[str, Tensor], grid: int) -> dict[str, Tensor]:
    """Weights with every position table on another square grid."""

    def resized(name: str, tensor: Tensor) -> Tensor:
        if name.endswith(TABLE):
            return resize_relative_positions(tensor, grid)
        return resize_positions(tensor, grid, grid) if name.endswith("pos_embed") else tensor

    return {name: resized(name, tensor) for name, tensor in weights.items()}
