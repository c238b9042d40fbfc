"""Tables of relative position biases, and how they go to another grid."""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dbot.base.errors import UserError

TABLE = "relative_position_bias_table"
"""timm's and the published code's name of a table."""

SPECIAL = 3
"""Rows at a table's end that belong to no distance: class token to patch, patch to class token, class token to itself."""


def table_side(grid: int) -> int:
    """Distances along one side of a square grid's table: from -(grid - 1) to grid - 1."""
    return 2 * grid - 1


def stretch(steps: int, reach: int) -> float:
    """The ratio q with 1 + q + ... + q^(steps - 1) = reach; 1 where the steps reach that far by themselves."""
    if reach <= steps:
        return 1.0
    # SciPy takes 0.4 s to load, at the start of every job; few have tables to resize.
    from scipy.optimize import bisect

    root: float = bisect(lambda q: np.power(q, np.arange(steps)).sum() - reach, 1.0, float(reach))
    return root


def resize_relative_positions(table_RH: Tensor, grid: int) -> Tensor:
    """A square grid's table of biases for another square grid.

    The old distances are laid out in a geometric progression, so that neighbours stay one patch
    apart and the farthest old distance is the farthest new one; between them a cubic spline is
    read at whole distances (BEiT, arXiv 2106.08254, as published). On a smaller grid the far
    distances fall away. The special rows are copied.

    Args:
        table_RH: (side² + 3, heads), side = 2 * old grid - 1.
        grid: patches along one side of the new grid.

    Returns:
        (side² + 3, heads) with side = 2 * grid - 1; the table itself where the sizes agree.

    Raises:
        UserError: it is no square grid's table, or of a grid with less than 3 patches along one side, too few for a cubic spline.
    """
    old, new = math.isqrt(len(table_RH) - SPECIAL), table_side(grid)
    if old == new:
        return table_RH
    if len(table_RH) != old**2 + SPECIAL:
        raise UserError(f"a table of relative positions has {len(table_RH)} rows, which fits no square grid; use weights of another file")
    if old < table_side(3):
        raise UserError(f"relative positions of a grid of {(old + 1) // 2} patches can't be resized; pre-train with 3 or more on one side")
    from scipy.interpolate import RectBivariateSpline

    places = _laid_out(old // 2, new // 2)
    asked = np.arange(-(new // 2), new // 2 + 1)
    heads = table_RH[:-SPECIAL].T.reshape(-1, old, old).double().cpu().numpy()
    resized = np.stack([RectBivariateSpline(places, places, head)(asked, asked) for head in heads])
    distances = torch.from_numpy(resized).to(table_RH).flatten(1).T
    return torch.cat([distances, table_RH[-SPECIAL:]])


def _laid_out(steps: int, reach: int) -> npt.NDArray[np.float64]:
    """Where the old distances lie on the new grid, the negative ones first."""
    positive = np.cumsum(np.power(stretch(steps, reach), np.arange(steps)))
    return np.concatenate([-positive[::-1], [0.0], positive])
