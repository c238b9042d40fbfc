"""Tiny data sets on disk, in the layouts of the real ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dbot.params.datasets import Check, Dataset, Embedded, Split


@pytest.fixture
def picture() -> Callable[..., Path]:
    """Writes an image file of noise, parents included."""

    def write(path: Path, size: tuple[int, int] = (8, 6), seed: int = 0, **settings: object) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, **settings)
        return path

    return write


@pytest.fixture
def declare() -> Callable[..., Dataset]:
    """A data set's declaration, with what a test doesn't care for filled in."""

    def build(root: Path | str | None, layout: str = "imagefolder", **settings: object) -> Dataset:
        given = {
            "title": "A set",
            "layouts": [layout],
            "root": None if root is None else str(root),
            "train": Split(images="train"),
            "validation": Split(images="val"),
            "classes": None,
            "licence": "none",
            "source": "its authors",
            "check": Check(decode="all", unreadable="refuse"),
        }
        return Dataset.model_validate({**given, **settings})

    return build


@pytest.fixture
def folders(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    """An ImageFolder of two classes: six training and two validation images."""
    root = tmp_path / "set"
    for part, count, first in (("train", 3, 0), ("val", 1, 100)):
        for c, name in enumerate(("cat", "wild döge")):
            for number in range(count):
                picture(root / part / name / f"ein bild {number}.png", seed=first + 10 * c + number)
    return root


@pytest.fixture
def small() -> Callable[..., Embedded]:
    """How to draw few and small images."""

    def build(style: str, **settings: object) -> Embedded:
        given = {"style": style, "image_size": 32, "train": 20, "validation": 10, "clutter": 0.25, "seed": 0}
        if style == "scenes":
            given["scene"] = {"digits": [2, 6], "sizes": [0.16, 0.45]}
        return Embedded.model_validate({**given, **settings})

    return build
