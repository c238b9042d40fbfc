"""Sets whose objects are boxes alone (`masks: none`), in files that say nothing of masks in one way or another, or more than is asked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from dbot.base.errors import UserError
from dbot.data.objects.annotations import ground_truth, read_objects
from dbot.data.objects.loading import TrainingObjects
from dbot.data.objects.transforms import visible
from dbot.params.dense import DetectAugmentation
from tests.data.objects.conftest import CocoSet, annotation, content

MISSING = object()


def with_segmentation(value: Any) -> dict[str, Any]:
    """The set's file with another segmentation, or without one, and no areas."""
    given = content()
    for entry in given["annotations"]:
        del entry["area"]
        if value is MISSING:
            del entry["segmentation"]
        else:
            entry["segmentation"] = value
    return given


@pytest.fixture(params=[[], [[]], None, MISSING], ids=["[]", "[[]]", "null", "missing"])
def bare(request: pytest.FixtureRequest, coco: CocoSet) -> CocoSet:
    for part in ("train", "val"):
        coco.write(part, with_segmentation(request.param))
    return coco


def test_refused_with_the_key_that_helps(bare: CocoSet) -> None:
    with pytest.raises(UserError, match=r"none of the 6 annotations has a mask, only boxes; write datasets\.it\.masks: none to train"):
        bare.prepare()


def test_boxes_are_all_there_is(bare: CocoSet, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = bare.prepare(masks="none")
    assert not manifest.masks
    assert "passed over" not in capsys.readouterr().out
    target = read_objects(manifest, "train").target(2)
    assert target.keys() == {"boxes", "labels", "image_id"}
    assert target["boxes"].tolist() == [[2, 3, 8, 9], [4, 2, 6, 7], [4, 2, 6, 7]]
    assert target["labels"].tolist() == [3, 2, 1]
    truth = ground_truth(manifest)
    assert [entry["area"] for entry in truth["annotations"]] == [36, 36, 10, 10, 10, 10], "in the order of images, those of the boxes"
    assert not any("segmentation" in entry for entry in truth["annotations"])
    assert [entry["iscrowd"] for entry in truth["annotations"]] == [0, 0, 0, 0, 1, 1]


def test_masks_that_are_there_are_passed_over_and_counted(coco: CocoSet, capsys: pytest.CaptureFixture[str]) -> None:
    """Broken ones too; the boxes and the file's own areas stay."""
    given = content()
    given["annotations"][0]["segmentation"] = [[1, 2, 3]]
    given["annotations"][4]["segmentation"] = {"size": [1, 1], "counts": "?"}
    coco.write("train", given)
    with pytest.raises(UserError, match="mask that can't be decoded"):
        coco.prepare()
    manifest = coco.prepare(masks="none")
    assert "train.json: 5 of 6 annotations have masks, which are passed over, since datasets.it.masks is none" in capsys.readouterr().out
    assert manifest.defects == {}
    assert len(read_objects(manifest, "train").boxes) == 6
    assert [entry["area"] for entry in ground_truth(manifest, "train")["annotations"]] == [36, 36, 10, 10, 10, 10]


def test_the_set_is_another_one_and_with_masks_what_it_was(coco: CocoSet) -> None:
    with_masks = coco.prepare()
    assert "masks" not in json.loads((with_masks.folder / "manifest.json").read_text())
    without = coco.prepare(out="other", masks="none")
    assert with_masks.masks
    assert without.digest != with_masks.digest
    assert json.loads((without.folder / "manifest.json").read_text())["masks"] is False


def test_boxes_that_are_shares_are_refused(coco: CocoSet) -> None:
    """A whole number is a pixel: the object in the corner is as small as one may be."""
    given = with_segmentation([])
    given["annotations"][0]["bbox"] = [0, 0, 1, 1]
    coco.write("train", given)
    coco.prepare(masks="none")
    given["annotations"][0]["bbox"] = [0.1, 0.2, 0.5, 0.5]
    coco.write("train", given)
    with pytest.raises(UserError, match="is this a share of the image"):
        coco.prepare(masks="none")


def test_sets_without_objects_have_no_such_key(folders: Path, declare: Callable[..., Any], tmp_path: Path) -> None:
    from dbot.data.prepare import prepare

    with pytest.raises(UserError, match=r"datasets\.it\.masks is none, and a set of layout imagefolder has no objects; remove the key"):
        prepare("it", declare(folders, masks="none"), tmp_path / "out", tmp_path / "copy", 1, 1e9)


@pytest.mark.parametrize("whole", [True, False], ids=["objects whole", "objects cut"])
def test_views_are_those_of_the_set_with_masks(coco: CocoSet, augmentation: DetectAugmentation, whole: bool) -> None:
    """The same draws: the same pixels and boxes, with masks or without; where nothing is cut off, of the same objects."""
    changed = augmentation if not whole else augmentation.model_copy(update={"crop_probability": 0.0})
    views = [
        TrainingObjects(coco.prepare(out=name, **changes), changed, seed=3)
        for name, changes in (("with", {}), ("without", {"masks": "none"}))
    ]
    for epoch in range(8):
        (image, target), (same, boxes_only) = (each[epoch, 0] for each in views)
        assert torch.equal(image, same)
        assert "masks" not in boxes_only
        if whole:
            assert_close(target["boxes"], boxes_only["boxes"])
            assert target["labels"].tolist() == boxes_only["labels"].tolist()


def test_thin_boxes_are_dropped_without_masks_too() -> None:
    boxes = torch.tensor([[0.0, 0, 5, 5], [0, 0, 0.5, 5]])
    seen = visible({"boxes": boxes, "labels": torch.tensor([1, 2]), "image_id": 1})
    assert seen["labels"].tolist() == [1]
    assert seen.keys() == {"boxes", "labels", "image_id"}


def test_a_mixed_set_stays_what_it_is(coco: CocoSet) -> None:
    given = content()
    given["annotations"].append(annotation(20, 3, segmentation=[]))
    coco.write("train", given)
    with pytest.raises(UserError, match=r"1 annotations or images can't be used: .* has a mask that can't be decoded"):
        coco.prepare()
    assert coco.prepare(annotations="skip").skipped == {"train": [6]}
