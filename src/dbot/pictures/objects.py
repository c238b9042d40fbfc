"""Objects on an image: their boxes with name and score, and their masks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from torch import Tensor

from dbot.pictures.maps import shown_size, sized_image, sized_map
from dbot.pictures.palette import Colour, colour, on
from dbot.pictures.text import font, line_height, shortened, width_of

LINE = 2
"""Width of a box's line, in pixels, inside the box."""
FILL = 0.4
"""Share of a mask's colour in the pixels that it covers; its rim is all colour."""


@dataclass(frozen=True)
class Seen:
    """An object that is there, or was found."""

    label: int
    """From 1 on."""
    box: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels of the image."""
    mask: npt.NDArray[np.bool_] | None = None
    """(H, W)"""
    score: float | None = None
    """None: it is there."""
    crowd: bool = False
    """Whether it is a region of many."""


def draw_objects(image: Tensor, seen: Iterable[Seen], classes: Sequence[str], side: int) -> Image.Image:
    """An image with objects on it, those with the best scores on top.

    Args:
        image: uint8 (3, H, W).
        seen: what to draw.
        classes: names, in the order of the labels.
        side: of the square that the picture fits into, in pixels.
    """
    in_order = sorted(seen, key=lambda one: 1.0 if one.score is None else one.score)
    height, width = size = shown_size(image.shape, side)
    pixels = sized_image(image, size)
    for one in in_order:
        if one.mask is not None:
            _fill(pixels, sized_map(one.mask, size), colour(one.label - 1))
    picture = Image.fromarray(pixels)
    boxes = [_scaled(one.box, width / image.shape[2], height / image.shape[1], size) for one in in_order]
    for one, box in zip(in_order, boxes, strict=True):
        ImageDraw.Draw(picture).rectangle(box, outline=colour(one.label - 1), width=LINE)
    for one, box in zip(in_order, boxes, strict=True):
        name = f"{classes[one.label - 1]} (crowd)" if one.crowd else classes[one.label - 1]
        _tag(picture, box, name, one.score, colour(one.label - 1))
    return picture


def _fill(pixels_HWC: npt.NDArray[np.uint8], mask_HW: npt.NDArray[np.bool_], fill: Colour) -> None:
    """Tint what a mask covers, and draw its rim, in place."""
    pixels_HWC[mask_HW] = np.rint((1 - FILL) * pixels_HWC[mask_HW] + FILL * np.array(fill)).astype(np.uint8)
    around = np.pad(mask_HW, 1)
    inner = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    pixels_HWC[mask_HW & ~inner] = fill


def _scaled(box: Sequence[float], across: float, down: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The first and the last column and row of a box in the picture: left, top, right, bottom."""
    height, width = size
    left, top = min(max(round(box[0] * across), 0), width - 1), min(max(round(box[1] * down), 0), height - 1)
    right, bottom = min(round(box[2] * across), width) - 1, min(round(box[3] * down), height) - 1
    return left, top, max(left, right), max(top, bottom)


def _tag(picture: Image.Image, box: tuple[int, int, int, int], name: str, score: float | None, fill: Colour) -> None:
    """Name and score above a box, or in its upper corner where there is no room above; the name gives way to the picture's border."""
    left, top, _, _ = box
    size = max(11, max(picture.size) // 64)
    number = "" if score is None else f" {score:.2f}"
    text = shortened(name, picture.width - width_of(number, size) - 2, size) + number
    wide, high = width_of(text, size) + 2, line_height(size)
    x, y = max(0, min(left, picture.width - wide)), top - high if top >= high else top
    canvas = ImageDraw.Draw(picture)
    canvas.rectangle((x, y, x + wide - 1, y + high - 1), fill=fill)
    canvas.text((x + 1, y), text, fill=on(fill), font=font(size))
