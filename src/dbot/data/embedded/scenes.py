"""Style `scenes`: several digits of several sizes, partly hiding each other, for detection and segmentation."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dbot.data.embedded.material import Material, ground, ink, stroke
from dbot.params.datasets import Scene

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
