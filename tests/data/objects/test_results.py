import json
from pathlib import Path

import pytest
import torch
from pycocotools import mask as coco

from dbot.data.objects.loading import Origin
from dbot.data.objects.results import coco_results, in_order, pasted, write_results
from tests.processes import together

ORIGIN = Origin(image_id=42, height=40, width=60, view_height=80, view_width=120)


def detections(**changes: torch.Tensor) -> dict[str, torch.Tensor]:
    given = {
        "boxes": torch.tensor([[20.0, 10.0, 60.0, 50.0], [100.0, 60.0, 130.0, 90.0]]),
        "scores": torch.tensor([0.123456789, 0.5]),
        "labels": torch.tensor([2, 1]),
        "masks": torch.ones(2, 28, 28),
    }
    return {**given, **changes}


def test_results_are_in_pixels_of_the_image_and_inside_it() -> None:
    first, second = coco_results(detections(), ORIGIN, [1, 90], 0.5)
    assert first["bbox"] == [10, 5, 20, 20]
    assert (first["image_id"], first["category_id"], first["score"]) == (42, 90, 0.123457)
    assert second["bbox"] == [50, 30, 10, 10]
    assert second["category_id"] == 1
    mask = coco.decode(first["segmentation"])
    assert mask.shape == (40, 60)
    assert mask[5:25, 10:30].all()
    assert mask.sum() == 400
    json.dumps([first, second])


def test_a_leading_channel_of_masks_changes_nothing() -> None:
    given = detections(masks=torch.rand(2, 28, 28))
    assert coco_results(given, ORIGIN, [1, 90], 0.5) == coco_results({**given, "masks": given["masks"][:, None]}, ORIGIN, [1, 90], 0.5)


@pytest.mark.parametrize("shape", [(0, 28, 28), (0, 1, 28, 28)])
def test_no_detection_no_result(shape: tuple[int, ...]) -> None:
    none = {"boxes": torch.zeros(0, 4), "scores": torch.zeros(0), "labels": torch.zeros(0, dtype=torch.long), "masks": torch.zeros(shape)}
    assert coco_results(none, ORIGIN, [1, 90], 0.5) == []


def test_masks_are_pasted_between_centres_without_rounding_the_box() -> None:
    ramp = ((torch.arange(4) + 0.5) / 4).expand(4, 4)
    image = pasted(ramp, torch.tensor([2.5, 1.0, 10.5, 9.0], dtype=torch.float64), 12, 16)
    inside = torch.arange(4, 9)
    expected = (inside + 0.5 - 2.5) / 8
    assert torch.allclose(image[5, 4:9], expected, atol=1e-6)
    assert (image[0] == 0).all()
    assert (image[:, 12:] == 0).all()


@pytest.mark.parametrize("box", [[5.0, 5, 5, 9], [-20, -20, -4, -4], [30, 3, 40, 9], [15.9, 11.9, 40, 40]])
def test_boxes_without_extent_or_outside_give_masks(box: list[float]) -> None:
    assert pasted(torch.ones(28, 28), torch.tensor(box), 12, 16).shape == (12, 16)


def test_results_are_one_list(tmp_path: Path) -> None:
    found = coco_results(detections(), ORIGIN, [1, 90], 0.5)
    write_results(tmp_path / "results.json", found)
    assert json.loads((tmp_path / "results.json").read_text()) == found
    write_results(tmp_path / "results.json", [])
    assert json.loads((tmp_path / "results.json").read_text()) == []


def shares(group, folder):
    mine = [{"image_id": image, "score": rank} for image in range(group.rank, 5, group.world) for rank in (0.9, 0.1)]
    return {"found": json.dumps(in_order(group.collect(mine)))}


def test_processes_bring_their_results_together(tmp_path):
    first, second = (json.loads(found["found"]) for found in together(shares, tmp_path))
    assert first == [{"image_id": image, "score": rank} for image in range(5) for rank in (0.9, 0.1)]
    assert second == []
