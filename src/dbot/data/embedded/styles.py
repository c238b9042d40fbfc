"""The styles of embedded data: one digit an image, its outline, textures of photographs, and scenes of several digits."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from dbot.data.embedded.material import Material, ground, ink, stroke
from dbot.data.layouts.listing import Part
from dbot.params.datasets import Scene


def draw_digit(
    material: Material,
    label: int,
    side: int,
    clutter: float,
    rng: np.random.Generator,
    sizes: tuple[float, float] = (0.8, 1.0),
    turn: float = 12,
) -> npt.NDArray[np.uint8]:
    """One image, uint8 (side, side, 3), of a digit of the given class.

    Args:
        material: what it is drawn from.
        label: the class.
        side: of the image, in pixels.
        clutter: how much of the photograph is left, 0 to 1.
        rng: draws all else.
        sizes: width and height of the digit over the side, smallest and largest.
        turn: by how many degrees it is turned at most.
    """
    pixels = ground(material.photographs, side, clutter, rng)
    members = material.digits[label]
    digit = members[rng.integers(len(members))]
    width, height = (round(side * share) for share in rng.uniform(*sizes, 2))
    left, top = rng.integers(side - width + 1), rng.integers(side - height + 1)
    opacity = stroke(digit, width, height, rng.uniform(-turn, turn))[:, :, None]
    # A view: what is pasted below lands in the image.
    behind = pixels[top : top + height, left : left + width]
    behind += opacity * (ink(behind.reshape(-1, 3), rng) - behind)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


EMPTY_SHARE = 0.04
"""Share of scenes without any digit: real sets have images without objects."""
VISIBLE = 0.6
"""What must stay visible of each digit, as a share of its own area."""
TRIES = 10
"""How often a place is drawn for a digit before it is given up."""


@dataclass(frozen=True)
class Drawing:
    """An image and what is in it."""

    pixels: npt.NDArray[np.uint8]
    """(side, side, 3)"""
    labels: list[int]
    masks: list[npt.NDArray[np.bool_]]
    """By object, (side, side): the pixels where it is visible."""
    edges: npt.NDArray[np.bool_]
    """(side, side): faint rims of digits, which belong to no class for certain."""


def draw_scene(material: Material, side: int, clutter: float, scene: Scene, rng: np.random.Generator) -> Drawing:
    """One scene with exact masks."""
    pixels = ground(material.photographs, side, clutter, rng)
    labels: list[int] = []
    masks: list[npt.NDArray[np.bool_]] = []
    areas: list[int] = []
    edges = np.zeros((side, side), dtype=np.bool_)
    wanted = 0 if rng.random() < EMPTY_SHARE else int(rng.integers(scene.digits[0], scene.digits[1] + 1))
    for _ in range(wanted):
        label = int(rng.integers(10))
        members = material.digits[label]
        digit = members[rng.integers(len(members))]
        height = round(side * rng.uniform(scene.sizes[0], scene.sizes[1]))
        width = round(height * rng.uniform(0.7, 1.1))
        opacity = stroke(digit, width, height, rng.uniform(-15, 15))
        for _ in range(TRIES):
            top, left = rng.integers(side - height + 1), rng.integers(side - width + 1)
            window = (slice(top, top + height), slice(left, left + width))
            solid = np.zeros((side, side), dtype=np.bool_)
            solid[window] = opacity >= 0.5
            rest = [mask & ~solid for mask in masks]
            if all(mask.sum() >= VISIBLE * area for mask, area in zip(rest, areas, strict=True)):
                break
        else:
            continue
        behind = pixels[window]
        behind += opacity[:, :, None] * (ink(behind.reshape(-1, 3), rng) - behind)
        edges[window] |= opacity > 0.1
        labels.append(label)
        masks = [*rest, solid]
        areas.append(int(solid.sum()))
    for mask in masks:
        edges &= ~mask
    return Drawing(np.clip(np.rint(pixels), 0, 255).astype(np.uint8), labels, masks, edges)


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
