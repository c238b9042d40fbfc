"""Images that EXIF turns: annotations of the upright pixels fit, those of the stored ones are refused by name or asked for by a key."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dbot.base.errors import UserError
from dbot.data.images import image_header, read_image
from dbot.data.labelmaps.pairs import ValidationPairs
from dbot.data.manifest import Manifest, read_manifest
from dbot.data.objects.loading import TrainingObjects
from dbot.data.prepare import prepare
from dbot.params.datasets import Check, Dataset, LabelMaps, Split
from dbot.params.dense import DetectAugmentation

UPRIGHT, STORED = (24, 16), (16, 24)
"""Height and width, before and after a turn by 90 degrees."""
KEEP_SIZE = (2, 3, 4)
SIDEWAYS = (5, 6, 7, 8)


def save(path: Path, orientation: int, size: tuple[int, int], seed: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, exif=exif, quality=95)


@pytest.fixture
def turned(tmp_path: Path, declare: Callable[..., Dataset]) -> Callable[..., Dataset]:
    """A set whose images are stored in a size and turned, with annotations of a size."""

    def build(layout: str, orientation: int, size: tuple[int, int], stored: tuple[int, int] = STORED, **settings: Any) -> Dataset:
        height, width = size
        splits = {}
        for number, part in enumerate(("train", "val")):
            save(tmp_path / f"set/{part}/a.jpg", orientation, stored, seed=number)
            if layout == "coco":
                image = {"id": 1, "file_name": "a.jpg", "height": height, "width": width}
                mask = {"bbox": [1, 1, 8, 8], "segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]]}
                content = {"images": [image], "annotations": [{"id": 1, "image_id": 1, "category_id": 1, **mask}]}
                (tmp_path / f"set/{part}.json").write_text(json.dumps({**content, "categories": [{"id": 1, "name": "a"}]}))
                splits[part] = Split(images=part, annotations=f"{part}.json")
            else:
                values = np.zeros(size, dtype=np.uint8)
                values[:4] = 1
                (tmp_path / f"set/maps/{part}").mkdir(parents=True, exist_ok=True)
                Image.fromarray(values).save(tmp_path / f"set/maps/{part}/a.png")
                splits[part] = Split(images=part, annotations=f"maps/{part}")
        maps = {"classes": 2, "label_maps": LabelMaps(first_class=0, void=[255])} if layout == "labelmaps" else {}
        return declare(tmp_path / "set", layout, train=splits["train"], validation=splits["val"], **maps, **settings)

    return build


@pytest.fixture
def read(tmp_path: Path) -> Callable[[Dataset], Manifest]:
    def run(dataset: Dataset) -> Manifest:
        prepare("it", dataset, tmp_path / "out", tmp_path / "copy", threads=1, progress_seconds=1e9)
        return read_manifest(tmp_path / "out")

    return run


Turned = Callable[..., Dataset]
Read = Callable[[Dataset], Manifest]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_header_says_the_size_of_either_reading(tmp_path: Path, orientation: int) -> None:
    save(tmp_path / "a.jpg", orientation, STORED, seed=0)
    header = image_header((tmp_path / "a.jpg").read_bytes(), tmp_path / "a.jpg")
    assert header.orientation == orientation
    assert header.upright == read_image(tmp_path / "a.jpg").shape[1:]
    assert header.stored == read_image(tmp_path / "a.jpg", upright=False).shape[1:] == STORED


@pytest.mark.parametrize("layout", ["coco", "labelmaps"])
class TestAnnotated:
    @pytest.mark.parametrize("orientation", SIDEWAYS)
    def test_upright_fits(self, turned: Turned, read: Read, layout: str, orientation: int, capsys: Any) -> None:
        assert read(turned(layout, orientation, UPRIGHT)).upright
        assert "orientation" not in capsys.readouterr().out

    @pytest.mark.parametrize("orientation", SIDEWAYS)
    def test_stored_is_refused_by_name(self, turned: Turned, read: Read, layout: str, orientation: int) -> None:
        with pytest.raises(UserError) as error:
            read(turned(layout, orientation, STORED))
        said = str(error.value)
        assert f"that is its size before EXIF orientation {orientation} turns it" in said
        assert "`annotated: stored`" in said
        assert "\n" not in said

    def test_stored_is_read_where_the_data_set_says_so(
        self, turned: Turned, read: Read, layout: str, tmp_path: Path, augmentation_of_nothing: DetectAugmentation
    ) -> None:
        manifest = read(turned(layout, 6, STORED, annotated="stored"))
        assert not manifest.upright
        stored = read_image(tmp_path / "set/val/a.jpg", upright=False)
        if layout == "labelmaps":
            image, classes = ValidationPairs(manifest)[0]
            assert image.equal(stored)
            assert classes.shape == STORED
        else:
            objects = TrainingObjects(manifest, augmentation_of_nothing, seed=0)
            assert objects.pixels[0][0].shape[1:] == objects.objects.target(0)["masks"].shape[1:] == STORED

    def test_upright_is_refused_where_the_data_set_says_stored(self, turned: Turned, read: Read, layout: str) -> None:
        with pytest.raises(UserError, match=r"its size after EXIF orientation 8 turns it.*`annotated: upright`"):
            read(turned(layout, 8, UPRIGHT, annotated="stored"))

    def test_another_size_altogether_names_the_orientation(self, turned: Turned, read: Read, layout: str) -> None:
        with pytest.raises(UserError, match=r"\(EXIF orientation 6\)"):
            read(turned(layout, 6, (30, 30)))

    @pytest.mark.parametrize(("orientation", "size"), [*((one, STORED) for one in KEEP_SIZE), (6, (16, 16))])
    def test_turns_that_keep_the_size_are_counted(
        self, turned: Turned, read: Read, layout: str, orientation: int, size: tuple[int, int], capsys: Any
    ) -> None:
        dataset = turned(layout, orientation, size, size)
        read(dataset)
        said = capsys.readouterr().out
        assert "warning: datasets.it: 2 images are turned by their EXIF orientation without a change of size" in said
        assert f"(orientation {orientation})" in said
        for silent in ({"check": Check(decode="all", unreadable="refuse", meant=["turned-images"])}, {"annotated": "stored"}):
            read(dataset.model_copy(update=silent))
            assert "orientation" not in capsys.readouterr().out


def test_which_pixels_are_meant_is_part_of_the_digest(turned: Turned, read: Read) -> None:
    first = read(turned("coco", 3, STORED))
    again = read(turned("coco", 3, STORED, annotated="stored"))
    assert first.digest != again.digest
    assert first.rows("train") == again.rows("train")


@pytest.fixture
def augmentation_of_nothing() -> DetectAugmentation:
    return DetectAugmentation(flip=0.0, short_sides=[16], long_side=64, crop_probability=0.0, crop_short_sides=[16], crop_sides=[16, 16])
