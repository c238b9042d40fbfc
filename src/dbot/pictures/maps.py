"""Images and label maps at the size at which a person looks at them, maps in colours."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from dbot.data.labelmaps.values import IGNORE
from dbot.pictures.palette import colour

GREYS = (110, 170)
"""Of the stripes on pixels without a class."""
STRIPE = 4
"""Width of a stripe, in pixels along a row."""
FILL = 0.5
"""Share of a class's colour where a map lies over its image."""


def draw_map(classes_HW: Tensor, side: int) -> Image.Image:
    """Every class in its colour; pixels without one striped in grey.

    Args:
        classes_HW: from 0 on, `IGNORE` for none; integers (H, W).
        side: of the square that the picture fits into, in pixels.
    """
    return Image.fromarray(_coloured(classes_HW, shown_size(classes_HW.shape, side)))


def draw_map_over(image: Tensor, classes_HW: Tensor, side: int) -> Image.Image:
    """A label map through which its uint8 image (3, H, W) is seen; else as `draw_map`."""
    size = shown_size(classes_HW.shape, side)
    mixed = FILL * _coloured(classes_HW, size) + (1 - FILL) * sized_image(image, size)
    return Image.fromarray(np.rint(mixed).astype(np.uint8))


def stripes(height: int, width: int) -> npt.NDArray[np.uint8]:
    """What pixels without a class look like: (height, width, 3)."""
    odd = (np.add.outer(np.arange(height), np.arange(width)) // STRIPE % 2)[:, :, None]
    return np.where(odd, np.uint8(GREYS[1]), np.uint8(GREYS[0])).repeat(3, axis=2)


def _coloured(classes_HW: Tensor, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    numbers = sized_map(classes_HW.cpu().numpy(), size)
    table = np.array([colour(number) for number in range(IGNORE + 1)], dtype=np.uint8)
    return np.where((numbers == IGNORE)[:, :, None], stripes(*size), table[numbers])


Value = TypeVar("Value", bound=np.generic)


def shown_size(shape: Sequence[int], side: int) -> tuple[int, int]:
    """Height and width in pixels at which a shape (..., H, W) fits into a square: enlarged by the largest whole factor, or reduced."""
    height, width = shape[-2:]
    longest = max(height, width)
    if longest <= side:
        return height * (side // longest), width * (side // longest)
    return max(1, round(height * side / longest)), max(1, round(width * side / longest))


def sized_image(image: Tensor, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """A uint8 image (3, H, W) as (height, width, 3): its pixels repeated where it is enlarged, averaged where it is reduced."""
    height, width = size
    pixels = image.permute(1, 2, 0).cpu().numpy()
    if height >= pixels.shape[0]:
        return sized_map(pixels, size)
    return np.array(Image.fromarray(np.ascontiguousarray(pixels)).resize((width, height), Image.Resampling.BOX))


def sized_map(values_HW: npt.NDArray[Value], size: tuple[int, int]) -> npt.NDArray[Value]:
    """Values at another (height, width): those of the nearest pixels; further axes stay as they are."""
    rows, columns = (((np.arange(new) + 0.5) * old / new).astype(np.int64) for new, old in zip(size, values_HW.shape[:2], strict=True))
    found: npt.NDArray[Value] = values_HW[rows[:, None], columns]
    return found
