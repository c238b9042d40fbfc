"""Digits that a classifier of digits is tried on: stand-ins for ImageNet-V2, ReaL, -A, -R, -Sketch and -C.

All are drawn from the digits and photographs of the validation part, so that nothing was trained on. They are called as the sets of
`dbot.measure.robustness` are, and are as unlike the training images as these are in kind, if not in number.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter, ImageOps

from dbot.data.embedded.corrupt import APPLIED, corrupt
from dbot.data.embedded.material import Material, ground, stroke
from dbot.data.embedded.styles import draw_digit
from dbot.data.layouts.corruptions import SEVERITIES
from dbot.data.layouts.listing import Part
from dbot.params.datasets import Embedded

Image8 = npt.NDArray[np.uint8]
"""(side, side, 3)"""
RENDERED = (0, 2, 3, 5, 6, 8)
"""Classes of which there are renditions: a part of all, as ImageNet-R has 200 of 1,000."""
SECOND, MISLABELLED, EMPTY = 0.5, 0.04, 0.06
"""Share of relabelled images that show a second digit, that lie in the folder of a digit which they don't show, and that show none."""


class Drawn(NamedTuple):
    """One image."""

    path: str
    """Below the part's folder, without its ending."""
    pixels: Image8
    labels: tuple[int, ...] = ()
    """All that it shows, for style `relabelled`."""


def shifted(embedded: Embedded, material: dict[Part, Material], rng: np.random.Generator) -> Iterator[Drawn]:
    """The images of a set, in their order."""
    yield from DRAWN[embedded.style](embedded, material, rng)


def _redrawn(embedded: Embedded, material: dict[Part, Material], rng: np.random.Generator) -> Iterator[Drawn]:
    """By the same procedure, a little harder, as ImageNet-V2 was collected."""
    for number in range(embedded.validation):
        label = number % 10
        pixels = draw_digit(material["validation"], label, embedded.image_size, embedded.clutter, rng, (0.6, 0.95), 22)
        yield Drawn(f"{label}/{number:06d}", pixels)


def _relabelled(embedded: Embedded, material: dict[Part, Material], rng: np.random.Generator) -> Iterator[Drawn]:
    """As labels were collected anew for ImageNet's validation images: often there is more than one, sometimes another or none."""
    own, side = material["validation"], embedded.image_size
    for number in range(embedded.validation):
        label, drawn = number % 10, rng.random()
        name = f"{label}/digits_val_{number + 1:08d}"
        if drawn < EMPTY:
            yield Drawn(name, np.clip(np.rint(ground(own.photographs, side, embedded.clutter, rng)), 0, 255).astype(np.uint8))
            continue
        shown = int((label + rng.integers(1, 10)) % 10) if drawn < EMPTY + MISLABELLED else label
        pixels = draw_digit(own, shown, side, embedded.clutter, rng)
        labels: tuple[int, ...] = (shown,)
        if rng.random() < SECOND:
            second = int((shown + rng.integers(1, 10)) % 10)
            pixels, labels = _with_another(pixels, own, second, rng), (shown, second)
        yield Drawn(name, pixels, labels)


def _with_another(pixels: Image8, material: Material, label: int, rng: np.random.Generator) -> Image8:
    """An image with a smaller digit in one of its corners, dark on a light patch."""
    side = pixels.shape[0]
    small = round(side * rng.uniform(0.45, 0.6))
    top, left = (int(rng.integers(2)) * (side - small) for _ in range(2))
    members = material.digits[label]
    opacity = stroke(members[rng.integers(len(members))], small, small, rng.uniform(-12, 12))
    made = pixels.copy()
    made[top : top + small, left : left + small] = np.rint(230 - 210 * opacity).astype(np.uint8)[:, :, None]
    return made


def _confusable(embedded: Embedded, material: dict[Part, Material], rng: np.random.Generator) -> Iterator[Drawn]:
    """Natural adversarial examples: digits that a simple classifier takes for others, as ResNet-50 takes those of ImageNet-A."""
    chosen = Material(confused(material), material["validation"].photographs)
    classes = [label for label, members in enumerate(chosen.digits) if len(members)]
    for number in range(embedded.validation):
        label = classes[number % len(classes)]
        yield Drawn(f"{label}/{number:06d}", draw_digit(chosen, label, embedded.image_size, embedded.clutter, rng))


def confused(material: dict[Part, Material]) -> list[npt.NDArray[np.uint8]]:
    """By class, the validation digits (N, 8, 8) that are nearer to the mean of another class's training digits than to their own's."""
    taught = [members.astype(np.int64).reshape(len(members), -1) for members in material["train"].digits]
    found = []
    for label, members in enumerate(material["validation"].digits):
        rows = members.astype(np.int64).reshape(len(members), -1)
        # Whole numbers and one division: alike on every machine.
        distances = [((rows * len(of) - of.sum(axis=0)) ** 2).sum(axis=1) / len(of) ** 2 for of in taught]
        found.append(members[np.argmin(distances, axis=0) != label])
    return found


def _renditions(embedded: Embedded, material: dict[Part, Material], rng: np.random.Generator) -> Iterator[Drawn]:
    """Painted, printed, embossed and inverted in turn."""
    renderings = (
        lambda image: ImageOps.posterize(image.filter(ImageFilter.ModeFilter(3)), 2),
        lambda image: image.convert("1").convert("RGB"),
        lambda image: image.filter(ImageFilter.EMBOSS),
        ImageOps.invert,
    )
    for number in range(embedded.validation):
        label = RENDERED[number % len(RENDERED)]
        image = Image.fromarray(draw_digit(material["validation"], label, embedded.image_size, embedded.clutter, rng))
        yield Drawn(f"{label}/{number:06d}", np.asarray(renderings[number // len(RENDERED) % len(renderings)](image)))


def _sketches(embedded: Embedded, material: dict[Part, Material], rng: np.random.Generator) -> Iterator[Drawn]:
    """Black lines around the digit, on white paper."""
    side = embedded.image_size
    for number in range(embedded.validation):
        label = number % 10
        members = material["validation"].digits[label]
        size = round(side * rng.uniform(0.75, 0.95))
        top, left = rng.integers(side - size + 1), rng.integers(side - size + 1)
        whole = np.zeros((side, side), dtype=np.uint8)
        whole[top : top + size, left : left + size] = np.rint(
            255 * stroke(members[rng.integers(len(members))], size, size, rng.uniform(-12, 12))
        )
        line = whole.astype(np.int64) - np.asarray(Image.fromarray(whole).filter(ImageFilter.MinFilter(3)))
        paper = np.clip(250 - line + rng.normal(scale=4, size=line.shape), 0, 255)
        yield Drawn(f"{label}/sketch_{number:06d}", np.repeat(np.rint(paper).astype(np.uint8)[:, :, None], 3, axis=2))


def _corrupted(embedded: Embedded, material: dict[Part, Material], rng: np.random.Generator) -> Iterator[Drawn]:
    """The same images under every corruption at every severity."""
    for number in range(embedded.validation):
        label = number % 10
        clean = draw_digit(material["validation"], label, embedded.image_size, embedded.clutter, rng)
        for corruption in APPLIED:
            for severity in SEVERITIES:
                yield Drawn(f"{corruption}/{severity}/{label}/{number:06d}", corrupt(clean, corruption, severity, rng))


DRAWN = {
    "redrawn": _redrawn,
    "relabelled": _relabelled,
    "confusable": _confusable,
    "renditions": _renditions,
    "sketches": _sketches,
    "corrupted": _corrupted,
}
