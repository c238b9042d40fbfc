"""Styles `outlines` and `textures`: small classification sets that differ from what students are pre-trained on."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from dbot.data.embedded.material import Material, stroke
from dbot.data.layouts.listing import Part

TURN = 15.0
"""Outlined digits are turned by up to so many degrees."""
SIDES: dict[Part, tuple[float, float]] = {"train": (0.0, 0.6), "validation": (0.65, 1.0)}
"""Which part of a photograph's width patches are cut from: the two share no pixel."""
PATCH = (0.15, 0.3)
"""Side of a patch over the height of its photograph, smallest and largest."""


def draw_outline(material: Material, label: int, side: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """One image, uint8 (side, side, 3): the outline of a digit, dark or light, on a ground whose brightness changes evenly."""
    members = material.digits[label]
    digit = members[rng.integers(len(members))]
    width, height = (round(side * share) for share in rng.uniform(0.7, 0.95, 2))
    left, top = rng.integers(side - width + 1), rng.integers(side - height + 1)
    whole = np.zeros((side, side), dtype=np.float32)
    whole[top : top + height, left : left + width] = stroke(digit, width, height, rng.uniform(-TURN, TURN))
    image = Image.fromarray((whole * 255).astype(np.uint8))
    line = np.asarray(image, dtype=np.float32) - np.asarray(image.filter(ImageFilter.MinFilter(3)), dtype=np.float32)
    down, across = np.mgrid[:side, :side] / side
    slope = rng.uniform(-40, 40, 2)
    ground = rng.uniform(90, 160) + slope[0] * down + slope[1] * across
    ink = rng.choice([15, 240]) + rng.uniform(-10, 10, 3)
    pixels = ground[:, :, None] + line[:, :, None] / 255 * (ink - ground[:, :, None])
    drawn: npt.NDArray[np.uint8] = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return drawn


def cut_texture(photograph: Image.Image, part: Part, side: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """One image, uint8 (side, side, 3): a grey patch of a photograph, its brightness and contrast changed, perhaps mirrored."""
    low, high = (share * photograph.width for share in SIDES[part])
    length = rng.uniform(*PATCH) * photograph.height
    left, top = rng.uniform(low, high - length), rng.uniform(0, photograph.height - length)
    patch = photograph.convert("L").resize((side, side), Image.Resampling.BICUBIC, box=(left, top, left + length, top + length))
    pixels = np.asarray(patch, dtype=np.float32)
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    # Brightness alone would tell photographs apart.
    pixels = 128 + (pixels - pixels.mean()) * rng.uniform(0.8, 1.2) + rng.uniform(-30, 30)
    return np.repeat(np.clip(np.rint(pixels), 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
