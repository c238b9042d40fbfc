"""Objects on an image: their boxes with name and score, and their masks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from torch import Tensor

from dbot.pictures.maps import shown_size, sized_image, sized_map
from dbot.pictures.palette import Colour, colour, on
from dbot.pictures.text import font, line_height, shortened, width_of

LINE = 2
"""Width of a box's line, in pixels, inside the box."""
CROWDED = 0.2
"""Share of a picture that labels may cover; the first of them is always there."""
FILL = 0.4
"""Share of a mask's colour in the pixels that it covers; its rim is all colour."""


Box = tuple[int, int, int, int]
"""First and last column and row in a picture: left, top, right, bottom."""


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

    Labels say the classes, unless there is but one. Where objects crowd, those with the best scores have theirs, of equal ones
    the largest: no label covers another, and together they leave most of the picture to be seen.

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
    if len(classes) > 1:
        for tag in _readable([_tag(one, box, classes, size) for one, box in zip(in_order, boxes, strict=True)], size):
            _draw(picture, tag)
    return picture


def _fill(pixels_HWC: npt.NDArray[np.uint8], mask_HW: npt.NDArray[np.bool_], fill: Colour) -> None:
    """Tint what a mask covers, and draw its rim, in place."""
    pixels_HWC[mask_HW] = np.rint((1 - FILL) * pixels_HWC[mask_HW] + FILL * np.array(fill)).astype(np.uint8)
    around = np.pad(mask_HW, 1)
    inner = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    pixels_HWC[mask_HW & ~inner] = fill


def _scaled(box: Sequence[float], across: float, down: float, size: tuple[int, int]) -> Box:
    """The first and the last column and row of a box in the picture: left, top, right, bottom."""
    height, width = size
    left, top = min(max(round(box[0] * across), 0), width - 1), min(max(round(box[1] * down), 0), height - 1)
    right, bottom = min(round(box[2] * across), width) - 1, min(round(box[3] * down), height) - 1
    return left, top, max(left, right), max(top, bottom)


class _Tag(NamedTuple):
    """What a label says, and where."""

    text: str
    place: Box
    fill: Colour
    rank: tuple[float, int]
    """The higher, the rather it is drawn."""


def _tag(one: Seen, box: Box, classes: Sequence[str], size: tuple[int, int]) -> _Tag:
    """Name and score above a box, or in its upper corner where there is no room above; the name gives way to the picture's border."""
    left, top, right, bottom = box
    width, letters = size[1], _letters(size)
    number = "" if one.score is None else f" {one.score:.2f}"
    name = f"{classes[one.label - 1]} (crowd)" if one.crowd else classes[one.label - 1]
    text = shortened(name, width - width_of(number, letters) - 2, letters) + number
    wide, high = width_of(text, letters) + 2, line_height(letters)
    x, y = max(0, min(left, width - wide)), top - high if top >= high else top
    rank = (1.0 if one.score is None else one.score, (right - left) * (bottom - top))
    return _Tag(text, (x, y, x + wide - 1, y + high - 1), colour(one.label - 1), rank)


def _readable(tags: Sequence[_Tag], size: tuple[int, int]) -> list[_Tag]:
    """Those of the highest rank that leave each other and the picture to be seen."""
    kept, left = list[_Tag](), CROWDED * size[0] * size[1]
    for tag in sorted(tags, key=lambda tag: tag.rank, reverse=True):
        area = (tag.place[2] - tag.place[0] + 1) * (tag.place[3] - tag.place[1] + 1)
        if (not kept or area <= left) and not any(_overlap(tag.place, other.place) for other in kept):
            kept.append(tag)
            left -= area
    return kept


def _overlap(one: Box, other: Box) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def _draw(picture: Image.Image, tag: _Tag) -> None:
    left, top, _, _ = tag.place
    canvas = ImageDraw.Draw(picture)
    canvas.rectangle(tag.place, fill=tag.fill)
    canvas.text((left + 1, top), tag.text, fill=on(tag.fill), font=font(_letters(picture.size)))


def _letters(size: tuple[int, int]) -> int:
    """Size of letters, in pixels, on a picture of some size."""
    return max(11, max(size) // 64)
