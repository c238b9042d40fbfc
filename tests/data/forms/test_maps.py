"""Images with label maps, in the forms that ADE20K, Pascal VOC, Cityscapes and CamVid have."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dbot.base.errors import UserError
from dbot.data.labelmaps.pairs import Pairs
from dbot.data.layouts.reader import read_listing
from dbot.params.datasets import Dataset, LabelMaps, Split
from tests.data.forms.conftest import Prepared, jpeg, png, tar_of, write, zipped
from tests.data.forms.makers import VALUES, ade20k, camvid, cityscapes, voc_maps

Declare = Callable[..., Dataset]


def refusal(dataset: Dataset) -> str:
    with pytest.raises(UserError) as error:
        read_listing("it", dataset)
    assert len(error.value.problems) == 1
    return str(error.value)


class TestAde20k:
    def dataset(self, declare: Declare, root: Path) -> Dataset:
        training, validation = (Split(images=f"images/{part}", annotations=f"annotations/{part}") for part in ("training", "validation"))
        return declare(root, "labelmaps", train=training, validation=validation, classes=2)

    def test_its_zip_gives_the_set_that_it_unpacks_to(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        expected = prepared(self.dataset(declare, write(tmp_path / "set", ade20k())))
        assert expected.root == tmp_path / "set"
        zipped(tmp_path / "zip/ADEChallengeData2016.zip", {f"ADEChallengeData2016/{name}": file for name, file in ade20k().items()})
        found = prepared(self.dataset(declare, tmp_path / "zip"))
        assert found.digest == expected.digest
        assert found.classes == ["wall", "building, edifice"]
        for one, other in zip((Pairs(found, "train")[n] for n in range(2)), (Pairs(expected, "train")[n] for n in range(2)), strict=True):
            assert all(map(np.array_equal, one, other))

    def test_one_level_too_deep_it_is_the_same_set(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        expected = prepared(self.dataset(declare, write(tmp_path / "set", ade20k())))
        write(tmp_path / "deep/ADEChallengeData2016", ade20k())
        found = prepared(self.dataset(declare, tmp_path / "deep"))
        assert found.root == tmp_path / "deep/ADEChallengeData2016"
        assert found.digest == expected.digest

    def test_deeper_still_the_root_to_write_is_said(self, declare: Declare, tmp_path: Path) -> None:
        write(tmp_path / "deep/a/ADEChallengeData2016", ade20k())
        said = refusal(self.dataset(declare, tmp_path / "deep"))
        assert f"lies deeper, write datasets.it.root: {tmp_path / 'deep/a/ADEChallengeData2016'}" in said

    def test_a_map_that_the_zip_lacks_is_named(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        files = ade20k()
        del files["annotations/validation/ADE_1.png"]
        zipped(tmp_path / "zip/ade.zip", files)
        with pytest.raises(UserError, match=r"annotations/validation/ADE_1\.png: is missing"):
            prepared(self.dataset(declare, tmp_path / "zip"))


class TestVoc:
    def dataset(self, declare: Declare, root: Path) -> Dataset:
        train, validation = (
            Split(images="JPEGImages", annotations="SegmentationClass", list_file=f"ImageSets/Segmentation/{part}.txt")
            for part in ("train", "val")
        )
        return declare(root, "labelmaps", train=train, validation=validation, classes=3, label_maps=LabelMaps(first_class=0, void=[255]))

    @pytest.mark.parametrize("form", ["folder", "tar"])
    def test_lists_say_what_is_in_a_part(self, declare: Declare, tmp_path: Path, prepared: Prepared, form: str) -> None:
        files = {f"VOCdevkit/VOC2012/{name}": file for name, file in voc_maps().items()}
        if form == "tar":
            write(tmp_path / "set", {"VOCtrainval_11-May-2012.tar": tar_of(files)})
        else:
            write(tmp_path / "set", files)
        root = tmp_path / "set" / ("" if form == "tar" else "VOCdevkit")
        manifest = prepared(self.dataset(declare, root))
        assert manifest.samples("train").paths.tolist() == ["JPEGImages/c.jpg", "JPEGImages/a.jpg"]
        assert manifest.samples("validation").annotations.tolist() == ["SegmentationClass/b.png"]
        classes = Pairs(manifest, "train")[0][1].numpy()
        assert classes[0, 0] == 255
        assert np.array_equal(classes.flatten()[1:], VALUES.flatten()[1:])

    def test_a_list_that_names_what_is_not_there(self, declare: Declare, tmp_path: Path) -> None:
        root = write(tmp_path / "set", {**voc_maps(), "ImageSets/Segmentation/val.txt": b"b\nz\n"})
        assert "val.txt: names z" in refusal(self.dataset(declare, root))
        (root / "ImageSets/Segmentation/val.txt").unlink()
        assert "datasets.it.validation.list_file names it" in refusal(self.dataset(declare, root))


def test_cityscapes_is_read_by_its_suffixes(declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
    files = {"names.txt": b"road\nsidewalk\nbuilding\n", **cityscapes([("train", "aachen", 1), ("train", "ulm", 1), ("val", "munster", 1)])}
    train, validation = (Split(images=f"leftImg8bit/{part}", annotations=f"gtFine/{part}") for part in ("train", "val"))
    maps = LabelMaps(first_class=0, void=[255], image_suffix="_leftImg8bit", map_suffix="_gtFine_labelTrainIds", class_names="names.txt")
    dataset = declare(write(tmp_path / "set", files), "labelmaps", train=train, validation=validation, classes=3, label_maps=maps)
    manifest = prepared(dataset)
    assert manifest.classes == ["road", "sidewalk", "building"]
    assert manifest.counts == {"train": 2, "validation": 1}
    assert manifest.samples("validation").annotations.tolist() == ["gtFine/val/munster/munster_000000_gtFine_labelTrainIds.png"]


def test_camvid_is_read_as_it_lies(declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
    root = write(tmp_path / "set", camvid())
    for lists in (None, "{}.txt"):
        train, validation = (
            Split(images=part, annotations=f"{part}annot", list_file=lists.format(part) if lists else None) for part in ("train", "val")
        )
        maps = LabelMaps(first_class=0, void=[2])
        manifest = prepared(declare(root, "labelmaps", train=train, validation=validation, classes=2, label_maps=maps))
        order = ["train/1.png", "train/0.png"] if lists else ["train/0.png", "train/1.png"]
        assert manifest.samples("train").paths.tolist() == order


def test_what_nobody_says_is_recorded_nowhere(declare: Declare, tmp_path: Path) -> None:
    declared = declare(tmp_path, "labelmaps").model_dump()
    assert declared["label_maps"] == {"first_class": 1, "void": [0]}
    assert declared["train"] == {"images": "train", "annotations": None, "count": None}


def test_names_of_images_and_maps_may_be_written_in_other_forms_of_unicode(declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
    """Archives of a Mac hold `u` and a mark where others hold one letter."""
    files = {}
    for first, part in enumerate(("train", "val")):
        files |= {f"{part}/gr\u00fcn.jpg": jpeg(first), f"{part}annot/gru\u0308n.png": png(VALUES)}
    train, validation = (Split(images=part, annotations=f"{part}annot") for part in ("train", "val"))
    root = write(tmp_path / "set", files)
    maps = LabelMaps(first_class=0, void=[])
    manifest = prepared(declare(root, "labelmaps", train=train, validation=validation, classes=3, label_maps=maps))
    assert manifest.samples("train").annotations.tolist() == ["trainannot/gru\u0308n.png"]
