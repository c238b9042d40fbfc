import numpy as np
import pytest
import torch

from dbot.base.errors import UserError
from dbot.data.objects.annotations import ground_truth, read_objects
from tests.data.objects.conftest import COMPRESSED, HEIGHT, POLYGON, RUNS, WIDTH, CocoSet, content


def test_targets_have_labels_from_one_on_and_no_crowds(coco: CocoSet) -> None:
    objects = read_objects(coco.prepare(), "train")
    assert objects.image_ids.tolist() == [3, 5, 7, 9]
    target = objects.target(2)
    assert target["image_id"] == 7
    assert target["labels"].tolist() == [3, 2, 1], "90, 13 and 1, counted in the order of category ids"
    assert target["boxes"].tolist() == [[2, 3, 8, 9], [4, 2, 6, 7], [4, 2, 6, 7]]
    assert target["boxes"].dtype == torch.float32


def test_masks_of_all_kinds_lie_in_their_boxes(coco: CocoSet) -> None:
    target = read_objects(coco.prepare(), "train").target(2)
    assert target["masks"].shape == (3, HEIGHT, WIDTH)
    for mask, box in zip(target["masks"], target["boxes"].int().tolist(), strict=True):
        expected = torch.zeros(HEIGHT, WIDTH, dtype=torch.uint8)
        expected[box[1] : box[3], box[0] : box[2]] = 1
        assert torch.equal(mask, expected)


def test_images_without_objects_have_empty_targets(coco: CocoSet) -> None:
    objects = read_objects(coco.prepare(), "train")
    assert objects.with_targets().tolist() == [0, 2], "neither image 5, which has nothing, nor image 9, which has a crowd"
    for number in (1, 3):
        target = objects.target(number)
        assert (target["boxes"].shape, target["labels"].shape, target["masks"].shape) == ((0, 4), (0,), (0, HEIGHT, WIDTH))


def test_nothing_is_held_decoded(coco: CocoSet) -> None:
    objects = read_objects(coco.prepare(), "train")
    held = [getattr(objects, name) for name in objects.__dataclass_fields__]
    assert all(isinstance(part, np.ndarray | bytes) for part in held)
    assert len(objects.runs) < 20 * len(objects.labels)


def test_ground_truth_has_all_images_and_crowds_and_ids_that_count(coco: CocoSet) -> None:
    written = content()
    for entry in written["annotations"]:
        del entry["area"]
    coco.write("val", written)
    truth = ground_truth(coco.prepare())
    assert [image["id"] for image in truth["images"]] == [3, 5, 7, 9]
    assert [entry["id"] for entry in truth["annotations"]] == [1, 2, 3, 4, 5, 6]
    assert [entry["iscrowd"] for entry in truth["annotations"]] == [0, 0, 0, 0, 1, 1]
    assert [entry["area"] for entry in truth["annotations"]] == [36, 36, 10, 10, 10, 10]
    assert [category["id"] for category in truth["categories"]] == [1, 13, 90]


def test_ground_truth_has_run_lengths_as_the_scoring_reads_them(coco: CocoSet) -> None:
    written = content()
    written["annotations"][1]["segmentation"] = {**RUNS, "size": [float(HEIGHT), float(WIDTH)]}
    coco.write("val", written)
    of_image = [entry for entry in ground_truth(coco.prepare())["annotations"] if entry["image_id"] == 7]
    assert [entry["segmentation"] for entry in of_image] == [POLYGON, COMPRESSED, COMPRESSED, COMPRESSED]


def test_file_that_changed_since_is_refused(coco: CocoSet) -> None:
    manifest = coco.prepare()
    coco.write("train", {**content(), "annotations": []})
    with pytest.raises(UserError, match=r"train\.json: has changed since"):
        read_objects(manifest, "train")


def test_set_without_boxes_is_refused(coco: CocoSet) -> None:
    from dataclasses import replace

    with pytest.raises(UserError, match="detection needs layout coco"):
        read_objects(replace(coco.prepare(), layout="imagefolder", annotation_files={}), "train")
