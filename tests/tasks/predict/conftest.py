"""A folder of images as people have them."""

from pathlib import Path

import numpy
import pytest
from PIL import Image


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Images of several sizes and kinds in two folders, one that doesn't decode, and a file that is no image."""
    draws = numpy.random.default_rng(0)
    for name, size in (("a.PNG", (20, 30)), ("below/1.jpg", (64, 40)), ("below/b.c.webp", (7, 90)), ("one pixel.png", (1, 1))):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draws.integers(0, 256, (*size, 3)).astype("uint8")).save(path)
    (tmp_path / "photos/broken.jpg").write_bytes(b"\xff\xd8\xff no")
    (tmp_path / "photos/notes.txt").write_text("no image")
    return tmp_path / "photos"
