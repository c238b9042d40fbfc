"""COCO's twelve numbers, against pycocotools."""

import contextlib
import copy
import io
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from dbot.base.errors import UserError
from dbot.data.objects.masks import compressed_mask
from dbot.data.objects.results import TWELVE, score

SIDE = 160
CATEGORIES = [{"id": number, "name": f"c{number}"} for number in (1, 3, 90, 91)]


def placed(rng: np.random.Generator, box: np.ndarray) -> tuple[list[float], dict[str, Any], int]:
    """A box and an ellipse in it, as COCO has them."""
    left, top, width, height = np.clip(box, [0, 0, 3, 3], SIDE - 1)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    mask = ((x - left - width / 2) / (width / 2)) ** 2 + ((y - top - height / 2) / (height / 2)) ** 2 <= 1
    counts = compressed_mask(mask).decode()
    return [round(float(v), 2) for v in (left, top, width, height)], {"size": [SIDE, SIDE], "counts": counts}, int(mask.sum())


def random_sets(seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Images with objects, crowds and nothing, and detections that are near, wrong, doubled or of nothing. Category 91 has no object."""
    rng = np.random.default_rng(seed)
    images = [{"id": int(number), "height": SIDE, "width": SIDE} for number in rng.permutation(50)[:12]]
    annotations, results = [], []
    for i, image in enumerate(images):
        for _ in range(0 if i < 2 else rng.integers(1, 8)):
            box = np.concatenate([rng.uniform(0, SIDE * 0.6, 2), np.exp(rng.uniform(np.log(6), np.log(SIDE), 2))])
            category = int(rng.choice([1, 3, 90]))
            bbox, segmentation, area = placed(rng, box)
            crowd = int(rng.random() < 0.1)
            shape = {"bbox": bbox, "segmentation": segmentation, "area": area, "iscrowd": crowd}
            annotations.append({"id": len(annotations) + 1, "image_id": image["id"], "category_id": category, **shape})
            for _ in range(rng.integers(0, 3)):
                bbox, segmentation, _ = placed(rng, box + rng.normal(0, 0.07, 4) * box[2:].mean())
                guess = category if rng.random() < 0.8 else int(rng.choice([1, 3, 90, 91]))
                found = {"image_id": image["id"], "category_id": guess, "score": round(float(rng.random()), 2)}
                results.append({**found, "bbox": bbox, "segmentation": segmentation})
        bbox, segmentation, _ = placed(rng, rng.uniform(10, 60, 4))
        results.append({"image_id": image["id"], "category_id": 3, "score": 0.4, "bbox": bbox, "segmentation": segmentation})
    return {"images": images, "annotations": annotations, "categories": CATEGORIES}, results


def by_pycocotools(truth: dict[str, Any], results: list[dict[str, Any]], overlap: str) -> tuple[np.ndarray, np.ndarray]:
    """The twelve numbers, and AP by category, -1 where there is no object."""
    with contextlib.redirect_stdout(io.StringIO()):
        true = COCO()
        true.dataset = copy.deepcopy(truth)
        true.createIndex()
        shape = "bbox" if overlap == "box" else "segmentation"
        found = true.loadRes([{k: v for k, v in r.items() if k in ("image_id", "category_id", "score", shape)} for r in results])
        evaluation = COCOeval(true, found, "bbox" if overlap == "box" else "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    by_category = [values[values > -1].mean() if (values > -1).any() else -1 for values in np.moveaxis(precision, -1, 0)]
    return evaluation.stats, np.array(by_category)


@pytest.mark.parametrize("seed", range(4))
def test_equals_pycocotools(seed: int) -> None:
    truth, results = random_sets(seed)
    before = copy.deepcopy((truth, results))
    found = score(truth, results)
    assert (truth, results) == before, "neither is changed"
    for overlap in ("box", "mask"):
        stats, categories = by_pycocotools(truth, results, overlap)
        ours = [found.summary.get(f"{overlap}_{name}", -100) / 100 for name in TWELVE]
        assert ours == pytest.approx(stats.tolist(), abs=1e-12)
        assert 0.05 < ours[0] < 0.95
        ours = [found.categories[category["name"]].get(f"{overlap}_ap", -100) / 100 for category in CATEGORIES]
        assert ours == pytest.approx(categories.tolist(), abs=1e-12)
    assert found.categories["c91"] == {}


@pytest.mark.parametrize("shift", [-1000, 2**62])
def test_ids_may_be_any_numbers(shift: int) -> None:
    truth, results = copy.deepcopy(random_sets(3))
    expected = score(truth, results)
    for entry in (*truth["images"], *truth["categories"]):
        entry["id"] += shift
    for entry in (*truth["annotations"], *results):
        entry |= {key: entry[key] + shift for key in ("image_id", "category_id")}
    assert score(truth, results) == expected


def test_truth_as_results_scores_all() -> None:
    truth, _ = random_sets(0)
    results = [{**entry, "score": 1.0} for entry in truth["annotations"] if not entry["iscrowd"]]
    summary = score(truth, results).summary
    assert all(value == 100 for name, value in summary.items() if "_ap" in name)
    assert summary["box_ar100"] == summary["mask_ar100"] == 100


def test_no_results_score_nothing() -> None:
    truth, _ = random_sets(0)
    found = score(truth, [])
    assert set(found.summary.values()) == {0.0}
    assert found.categories["c1"] == {"box_ap": 0.0, "mask_ap": 0.0}


def test_results_on_images_without_objects_count() -> None:
    truth, _ = random_sets(1)
    right = [{**entry, "score": 0.5} for entry in truth["annotations"] if not entry["iscrowd"]]
    empty = truth["images"][0]["id"]
    false = [{**entry, "image_id": empty, "score": 0.9} for entry in right]
    assert score(truth, right + false).summary["box_ap"] < 80


def test_nothing_to_measure_is_not_a_number() -> None:
    found = score({"images": [{"id": 1, "height": 9, "width": 9}], "annotations": [], "categories": CATEGORIES}, [])
    assert found.summary == {}


def test_boxes_alone_can_be_scored() -> None:
    truth, results = random_sets(2)
    boxes = [{name: value for name, value in result.items() if name != "segmentation"} for result in results]
    found = score(truth, boxes, ["box"]).summary
    assert found == {name: value for name, value in score(truth, results).summary.items() if name.startswith("box")}
    with pytest.raises(UserError, match="place 0 has no segmentation"):
        score(truth, boxes)


def test_results_of_other_images_are_refused() -> None:
    truth, results = random_sets(0)
    with pytest.raises(UserError, match="is of image 1000"):
        score(truth, [{**results[0], "image_id": 1000}])
