"""What the embedded data sets are drawn from, divided so that training and validation share nothing."""

import importlib.resources
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from dbot.data.layouts.listing import Part

PHOTOGRAPHS: dict[Part, tuple[tuple[str, str], ...]] = {
    "train": (
        ("skimage", "data/astronaut.png"),  # NASA, public domain
        ("skimage", "data/brick.png"),  # CC0
        ("skimage", "data/coffee.png"),  # CC0, Rachel Michetti
        ("skimage", "data/hubble_deep_field.jpg"),  # NASA, public domain
        ("skimage", "data/rocket.jpg"),  # CC0, SpaceX
        ("sklearn", "datasets/images/china.jpg"),  # CC BY 2.0, danielbuechele
    ),
    "validation": (
        ("skimage", "data/camera.png"),  # CC0, Lav Varshney
        ("skimage", "data/chelsea.png"),  # CC0, Stefan van der Walt
        ("skimage", "data/gravel.png"),  # CC0
        ("sklearn", "datasets/images/flower.jpg"),  # CC BY 2.0, vultilion
    ),
}
"""Package and file of each photograph. All lie in the wheels; none is fetched."""

VALIDATION_SHARE = 1 / 3
SHORT_SIDE = 256
"""Photographs are shrunk to this first, so that cropping one is quick."""


@dataclass(frozen=True)
class Material:
    """What one part is drawn from."""

    digits: list[npt.NDArray[np.uint8]]
    """By class, (N, 8, 8), 0 to 255."""
    photographs: list[Image.Image]
    """RGB."""


def divide(rng: np.random.Generator) -> dict[Part, Material]:
    """All digits and photographs; which digits are for validation is drawn, class by class."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.minimum(bunch.images * 16, 255).astype(np.uint8)
    digits: dict[Part, list[npt.NDArray[np.uint8]]] = {"train": [], "validation": []}
    for label in range(10):
        members = images[bunch.target == label]
        # Copies of one digit, should there be any, stay together.
        members = rng.permutation(np.unique(members, axis=0))
        cut = round(len(members) * VALIDATION_SHARE)
        digits["validation"].append(members[:cut])
        digits["train"].append(members[cut:])
    return {part: Material(digits[part], [_photograph(*where) for where in PHOTOGRAPHS[part]]) for part in PHOTOGRAPHS}


def ground(photographs: list[Image.Image], side: int, clutter: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """A square crop of a photograph, faded into a plain dark colour: float32 (side, side, 3), 0 to 255.

    Args:
        photographs: one of them is drawn.
        side: of the result, in pixels.
        clutter: how much of the photograph is left, 0 to 1.
        rng: draws photograph, crop, mirroring and colour.
    """
    photograph = photographs[rng.integers(len(photographs))]
    width, height = photograph.size
    crop = rng.uniform(0.3, 1.0) * min(width, height)
    left, top = rng.uniform(0, width - crop), rng.uniform(0, height - crop)
    small = photograph.resize((side, side), Image.Resampling.BICUBIC, box=(left, top, left + crop, top + crop))
    pixels = np.asarray(small, dtype=np.float32)
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    plain = rng.uniform(20, 100, 3).astype(np.float32)
    return clutter * pixels + (1 - clutter) * plain


def ink(behind: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """A colour, (3,), that stands out against the pixels (N, 3) behind it: light on dark, dark on light."""
    light = behind.mean() < 128
    return rng.uniform(190, 255, 3).astype(np.float32) if light else rng.uniform(0, 50, 3).astype(np.float32)


def stroke(digit: npt.NDArray[np.uint8], width: int, height: int, angle: float) -> npt.NDArray[np.float32]:
    """Opacity of a digit, (height, width), 0 to 1: enlarged smoothly, turned by ``angle`` degrees, its edge made firm."""
    enlarged = Image.fromarray(digit).resize((width, height), Image.Resampling.BICUBIC).rotate(angle, Image.Resampling.BICUBIC)
    return np.clip(np.asarray(enlarged, dtype=np.float32) / 128 - 0.4, 0, 1)


def _photograph(package: str, file: str) -> Image.Image:
    with importlib.resources.as_file(importlib.resources.files(package) / file) as path, Image.open(path) as image:
        photograph = image.convert("RGB")
    scale = SHORT_SIDE / min(photograph.size)
    return photograph.resize((round(photograph.width * scale), round(photograph.height * scale)), Image.Resampling.BICUBIC)
