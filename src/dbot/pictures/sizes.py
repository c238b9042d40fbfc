"""Images and label maps at the size at which a person looks at them."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

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
