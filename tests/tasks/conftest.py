"""A small labelled set that a classifier can learn: class by brightness."""

import numpy
import pytest
from PIL import Image

from dbot.data.manifest import read_manifest
from dbot.data.prepare import prepare
from dbot.params.datasets import Check, Dataset, Split


@pytest.fixture(scope="session")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    draws = numpy.random.default_rng(0)
    for part, count in (("train", 24), ("val", 11)):
        for label in range(3):
            place = folder / "images" / part / f"class {label}"
            place.mkdir(parents=True)
            for i in range(count):
                pixels = draws.integers(0, 40, (16, 16, 3)) + 90 * label
                Image.fromarray(pixels.astype("uint8")).save(place / f"{i}.png")
    dataset = Dataset(
        title="brightness",
        layouts=["imagefolder"],
        root=str(folder / "images"),
        train=Split(images="train"),
        validation=Split(images="val"),
        classes=3,
        licence="none",
        source="drawn by the test",
        check=Check(decode="all", unreadable="refuse"),
    )
    prepare("brightness", dataset, folder / "prepared", folder / "copy", threads=1, progress_seconds=1e9)
    return read_manifest(folder / "prepared")
