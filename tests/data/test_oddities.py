"""What is sound in form and odd in meaning is refused or said, and taken back by the key that the line names."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dbot.base.errors import UserError
from dbot.data.alike import perceptual_hash
from dbot.data.prepare import Prepared, prepared
from dbot.params.datasets import Check, Dataset, LabelMaps, Oddity, Split

Declare = Callable[..., Dataset]
Picture = Callable[..., Path]
Read = Callable[..., Prepared]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def run(dataset: Dataset, *meant: Oddity) -> Prepared:
        check = dataset.check.model_copy(update={"meant": list(meant)})
        return prepared("it", dataset.model_copy(update={"check": check}), tmp_path / "out", tmp_path / "copy", 2, 1e9)

    return run


@pytest.fixture
def refusal(read: Read) -> Callable[..., str]:
    def run(dataset: Dataset, *meant: Oddity) -> str:
        with pytest.raises(UserError) as error:
            read(dataset, *meant)
        assert len(error.value.problems) == 1
        assert "\n" not in str(error.value)
        return str(error.value)

    return run


@pytest.fixture
def maps(tmp_path: Path, declare: Declare, picture: Picture) -> Callable[..., Dataset]:
    """A set of label maps of two images a part: quarters of these values, which may differ by part."""

    def build(train: list[int], val: list[int] | None = None, **settings: Any) -> Dataset:
        for number, (part, values) in enumerate((("train", train), ("val", val or train))):
            for image in range(2):
                picture(tmp_path / f"set/images/{part}/{image}.jpg", size=(32, 32), seed=10 * number + image)
                quarters = np.kron(np.array(values, dtype=np.uint8).reshape(2, 2), np.ones((16, 16), dtype=np.uint8))
                (tmp_path / "set/maps" / part).mkdir(parents=True, exist_ok=True)
                Image.fromarray(quarters).save(tmp_path / f"set/maps/{part}/{image}.png")
        splits = {part: Split(images=f"images/{part}", annotations=f"maps/{part}") for part in ("train", "val")}
        given = {"classes": 3, "label_maps": LabelMaps(first_class=0, void=[255]), **settings}
        return declare(tmp_path / "set", "labelmaps", train=splits["train"], validation=splits["val"], **given)

    return build


@pytest.fixture
def boxes(tmp_path: Path, declare: Declare, picture: Picture) -> Callable[..., Dataset]:
    """Objects of these categories in training and in validation, one an image."""

    def build(train: list[int], val: list[int], categories: tuple[int, ...] = (1, 2), **settings: Any) -> Dataset:
        for number, (part, objects) in enumerate((("train", train), ("val", val))):
            content: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": n, "name": f"c{n}"} for n in categories]}
            for image, category in enumerate(objects):
                picture(tmp_path / f"set/{part}/{image}.png", size=(20, 16), seed=10 * number + image)
                content["images"].append({"id": image, "file_name": f"{image}.png", "height": 16, "width": 20})
                mask = {"bbox": [2, 2, 8, 8], "segmentation": [[2, 2, 10, 2, 10, 10, 2, 10]]}
                content["annotations"].append({"id": image, "image_id": image, "category_id": category, **mask})
            (tmp_path / f"set/{part}.json").write_text(json.dumps(content))
        splits = {part: Split(images=part, annotations=f"{part}.json") for part in ("train", "val")}
        return declare(tmp_path / "set", "coco", train=splits["train"], validation=splits["val"], **settings)

    return build


class TestCounts:
    def test_images_are_counted_by_class(self, declare: Declare, folders: Path, read: Read, capsys: pytest.CaptureFixture[str]) -> None:
        found = read(declare(folders))
        said = capsys.readouterr().out
        assert "train, images by class: cat 3, wild döge 3\n" in said
        assert "validation, images by class: cat 1, wild döge 1\n" in said
        assert "warning" not in said
        assert found.census.results() == {}, "samples.tsv has them"

    def test_objects_are_counted_by_class(self, boxes: Callable[..., Dataset], read: Read, capsys: pytest.CaptureFixture[str]) -> None:
        kept = read(boxes([1, 2, 2], [2, 1])).census.results()
        assert "train, objects by class: c1 1, c2 2\n" in capsys.readouterr().out
        assert {key: kept[f"train_{key}"] for key in ("objects", "classes", "fewest", "most")} == {
            "objects": 3,
            "classes": 2,
            "fewest": 1,
            "most": 2,
        }

    def test_pixels_are_counted_by_class_with_the_share_of_void(
        self, maps: Callable[..., Dataset], read: Read, capsys: pytest.CaptureFixture[str]
    ) -> None:
        kept = read(maps([0, 1, 2, 255])).census.results()
        assert "train, pixels by class: 0 512, 1 512, 2 512; without a class 25.0% of the pixels\n" in capsys.readouterr().out
        assert kept["train_void"] == kept["validation_void"] == 0.25
        assert kept["train_pixels"] == 3 * 512

    def test_of_many_classes_the_rarest_and_the_most_frequent_are_said(
        self, boxes: Callable[..., Dataset], read: Read, capsys: pytest.CaptureFixture[str]
    ) -> None:
        read(boxes([7] * 3, [7], categories=tuple(range(300))))
        said = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("train, objects"))
        assert "300 classes" in said
        assert "c7 3" in said
        assert len(said) < 300

    def test_of_many_classes_with_one_count_it_is_said_once(
        self, boxes: Callable[..., Dataset], read: Read, capsys: pytest.CaptureFixture[str]
    ) -> None:
        categories = tuple(range(1, 42))
        read(boxes([*categories], [*categories], categories=categories), "shared-images")
        assert "train, objects by class: 1 of each of 41 classes\n" in capsys.readouterr().out

    def test_nothing_of_it_is_in_the_manifest(self, maps: Callable[..., Dataset], read: Read, tmp_path: Path) -> None:
        read(maps([0, 1, 2, 255]))
        stored = json.loads((tmp_path / "out/manifest.json").read_text())
        assert not {"census", "upright", "meant"} & stored.keys()


class TestClasses:
    def test_asked_for_and_not_taught_is_refused(self, boxes: Callable[..., Dataset], read: Read, refusal: Callable[..., str]) -> None:
        dataset = boxes([1, 1], [1, 2])
        said = refusal(dataset)
        assert "train has no objects of class c2, which validation has" in said
        assert "add unseen-classes to datasets.it.check.meant" in said
        assert read(dataset, "unseen-classes").manifest.counts == {"train": 2, "validation": 2}

    def test_a_limit_may_well_leave_some_out(self, boxes: Callable[..., Dataset], read: Read, capsys: pytest.CaptureFixture[str]) -> None:
        read(boxes([1, 1], [1, 2], limit=2))
        assert "warning: datasets.it: train has no objects of class c2" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("validation", "categories", "said"),
        [
            ([1], (1, 2), "validation has no objects of class c2, so its figures leave them out"),
            ([1, 2], (1, 2, 9), "there are no objects of class c9"),
        ],
    )
    def test_others_are_said(
        self,
        boxes: Callable[..., Dataset],
        read: Read,
        capsys: pytest.CaptureFixture[str],
        validation: list[int],
        categories: tuple[int, ...],
        said: str,
    ) -> None:
        dataset = boxes([1, 2], validation, categories)
        read(dataset)
        assert f"warning: datasets.it: {said}; if this is meant" in capsys.readouterr().out
        read(dataset, "unseen-classes")
        assert "warning" not in capsys.readouterr().out

    def test_foreground_that_is_void_leaves_one_class(
        self, maps: Callable[..., Dataset], refusal: Callable[..., str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        said = refusal(maps([0, 0, 255, 0], classes=2))
        assert "all pixels of train are of class 0" in said
        assert "add one-class" in said
        assert "there are no pixels of class 1" in capsys.readouterr().out

    def test_one_folder_of_images_is_said(self, declare: Declare, tmp_path: Path, picture: Picture, read: Read, capsys: Any) -> None:
        for number, part in enumerate(("train", "val")):
            picture(tmp_path / "set" / part / "all/a.png", seed=number)
        read(declare(tmp_path / "set"))
        assert "all images of train are of class all" in capsys.readouterr().out

    def test_a_sample_of_the_maps_refuses_nothing(self, maps: Callable[..., Dataset], read: Read, capsys: Any) -> None:
        read(maps([0, 0, 255, 0], [1, 1, 0, 0], check=Check(decode=3, unreadable="refuse")))
        assert "there are no pixels of the 3 label maps that were looked at of class 2" in capsys.readouterr().out


class TestBoxes:
    """Sound each by itself, and odd all together: another scale, or corners where left, top, width and height are meant."""

    @pytest.fixture
    def drawn(self, tmp_path: Path, boxes: Callable[..., Dataset]) -> Callable[..., Dataset]:
        """Ten images of a part, each with this box and this polygon."""

        def build(box: list[float], corners: tuple[float, ...] = (2, 2, 10, 10), masks: str = "learnt") -> Dataset:
            dataset = boxes([1, 2] * 5, [1, 2] * 5, masks=masks)
            left, top, right, bottom = corners
            for part in ("train", "val"):
                path = tmp_path / f"set/{part}.json"
                content = json.loads(path.read_text())
                for entry in content["annotations"]:
                    entry |= {"bbox": box, "segmentation": [[left, top, right, top, right, bottom, left, bottom]]}
                path.write_text(json.dumps(content))
            return dataset

        return build

    def test_that_fit_nothing_is_said_of(self, drawn: Callable[..., Dataset], read: Read, capsys: pytest.CaptureFixture[str]) -> None:
        boxes = read(drawn([2, 2, 8, 8])).census.boxes["train"]
        assert (boxes.count, boxes.compared, boxes.beside, boxes.over, boxes.reach) == (10, 10, 0, 0, 10 / 16)
        assert "warning" not in capsys.readouterr().out

    def test_that_dont_fit_their_masks_are_refused(self, drawn: Callable[..., Dataset], read: Read, refusal: Callable[..., str]) -> None:
        dataset = drawn([4, 4, 12, 12], (4, 4, 12, 12))  # corners
        said = refusal(dataset)
        assert "10 of 10 boxes of train don't fit their masks, such as [4, 4, 12, 12] of annotation 0" in said
        assert "are they left, top, width and height, in pixels?; if this is meant, add odd-boxes to datasets.it.check.meant" in said
        read(dataset, "odd-boxes")

    @pytest.mark.parametrize(
        ("box", "said"),
        [
            ([8, 6, 18, 14], "10 of 10 boxes of train reach over the border of their images, such as [8, 6, 18, 14] of annotation 0"),
            ([1.5, 1, 8, 6], "all 10 boxes of train lie in the upper left quarter of their images: are they percentages"),
        ],
    )
    def test_alone_are_warned_of(
        self, drawn: Callable[..., Dataset], read: Read, box: list[float], said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        read(drawn(box, masks="none"))
        assert f"warning: datasets.it: {said}" in capsys.readouterr().out


def test_mostly_void_is_refused(maps: Callable[..., Dataset], read: Read, refusal: Callable[..., str]) -> None:
    dataset = maps([0, 0, 1, 2], label_maps=LabelMaps(first_class=1, void=[0]), classes=2)
    assert read(dataset).census.void_share("train") == 0.5
    dataset = maps([0, 1, 2, 2], [0, 0, 0, 1], label_maps=LabelMaps(first_class=1, void=[0]), classes=2)
    said = refusal(dataset)
    assert "75% of the pixels of validation have no class" in said
    assert "add mostly-void to datasets.it.check.meant" in said
    assert read(dataset, "mostly-void", "unseen-classes").manifest.counts["train"] == 2


class TestSharedImages:
    def test_are_refused(
        self,
        declare: Declare,
        folders: Path,
        picture: Picture,
        read: Read,
        refusal: Callable[..., str],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        twin = folders / "train/cat/ein bild 2.png"
        (folders / "val/cat/ein bild 0.png").write_bytes(twin.read_bytes())
        read(declare(folders))
        line = "of 2 validation images are training images too, such as val/cat/ein bild 0.png (train/cat/ein bild 2.png)"
        assert f"warning: datasets.it: 1 {line}" in capsys.readouterr().out, "two images measure nothing anyway"
        for number in range(18):
            picture(folders / f"val/wild döge/{number}.png", seed=100 + number)
            picture(folders / f"train/wild döge/{number}.png", seed=200 + number)
        (folders / "val/wild döge/0.png").write_bytes((folders / "train/wild döge/0.png").read_bytes())
        assert "2 of 20 validation images are training images too" in refusal(declare(folders))
        assert read(declare(folders), "shared-images").manifest.counts["train"] == 24

    def test_a_few_are_said(self, declare: Declare, folders: Path, read: Read, picture: Picture, capsys: Any) -> None:
        for number in range(30):
            picture(folders / f"val/cat/{number}.png", seed=200 + number)
        (folders / "val/cat/x.png").write_bytes((folders / "train/cat/ein bild 0.png").read_bytes())
        read(declare(folders))
        assert "warning: datasets.it: 1 of 33 validation images are training images too" in capsys.readouterr().out


class TestNearDuplicates:
    @pytest.fixture
    def smooth(self, folders: Path) -> Path:
        """Photographs as they are: without noise in every pixel. One of validation is a training image, smaller and of another quality."""
        rng = np.random.default_rng(0)
        for path in sorted(folders.rglob("*.png")):
            coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
            coarse.resize((96, 72), Image.Resampling.BICUBIC).save(path)
        twin = Image.open(folders / "train/cat/ein bild 2.png").resize((60, 45))
        twin.save(folders / "val/cat/ein bild 0.jpg", quality=60)
        (folders / "val/cat/ein bild 0.png").unlink()
        return folders

    def test_are_found_where_they_are_looked_for(
        self, declare: Declare, smooth: Path, read: Read, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert read(declare(smooth)).census.near == []
        dataset = declare(smooth, check=Check(decode="none", near_duplicates=6))
        assert read(dataset).census.near == [("val/cat/ein bild 0.jpg", "train/cat/ein bild 2.png")]
        line = "1 of 2 validation images look as training images do, such as val/cat/ein bild 0.jpg (train/cat/ein bild 2.png)"
        assert f"warning: datasets.it: {line}" in capsys.readouterr().out
        read(dataset, "near-duplicates")
        assert "warning" not in capsys.readouterr().out

    def test_the_same_bytes_are_said_once(self, declare: Declare, smooth: Path, read: Read) -> None:
        (smooth / "val/cat/ein bild 0.jpg").write_bytes((smooth / "train/cat/ein bild 2.png").read_bytes())
        census = read(declare(smooth, check=Check(near_duplicates=6)), "shared-images").census
        assert (len(census.shared), census.near) == (1, [])

    def test_hash_of_a_picture_whose_frequencies_are_known(self) -> None:
        """Along x, half a cosine of one period over the width: of the frequencies, only the mean and that one are above the median."""
        x = np.cos(np.pi * (np.arange(32) + 0.5) / 32)
        ramp = np.repeat(np.round(127.5 + 100 * x).astype(np.uint8)[None, :, None], 3, axis=2).repeat(32, axis=0)
        bits = f"{perceptual_hash(ramp):064b}"
        assert bits[:2] == "11"
        assert perceptual_hash(255 - ramp) != perceptual_hash(ramp)


def test_receipts_from_before_there_was_the_key_hold() -> None:
    assert "near_duplicates" not in Check().model_dump()
    assert Check(near_duplicates=4).model_dump()["near_duplicates"] == 4
    assert "meant" not in Check(decode="all", unreadable="refuse").model_dump()
    assert Check(decode="all", unreadable="refuse", meant=["one-class"]).model_dump()["meant"] == ["one-class"]
