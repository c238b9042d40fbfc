"""COCO's scores of detections (https://cocodataset.org/#detection-eval), by faster-coco-eval.

Its numbers equal those of pycocotools, it is several times as fast, and it takes a list without any
detection.
"""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import numpy as np

from dbot.base.errors import UserError
from dbot.data.objects.results import Result

Overlap = Literal["box", "mask"]
"""Whether a detection is compared with the truth by its box or by its mask."""

TWELVE = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large")
"""COCO's twelve numbers, in its order."""


class Scores(NamedTuple):
    """What detections are worth."""

    summary: dict[str, float]
    """`box_ap`, `mask_ap50`, ... in percent: the twelve numbers of each overlap. One that has no object to be measured on is absent."""
    categories: dict[str, dict[str, float]]
    """By name, `box_ap` and `mask_ap` in percent; of a category without objects neither."""


def score(truth: dict[str, Any], results: list[Result], overlaps: Iterable[Overlap] = ("box", "mask")) -> Scores:
    """Score COCO results against the content of a COCO file; neither is changed.

    Every image of the truth counts, those without objects and those without results too. No results at all score 0.

    Raises:
        UserError: results are of other images, or lack what is to be compared.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    _check(truth, results, overlaps := tuple(overlaps))
    summary: dict[str, float] = {}
    categories: dict[str, dict[str, float]] = {category["name"]: {} for category in truth["categories"]}
    for overlap in overlaps:
        # The library writes into what it is given.
        true = COCO({**truth, "annotations": [dict(entry) for entry in truth["annotations"]]})
        found = true.loadRes([_only(overlap, result) for result in results])
        evaluation = COCOeval_faster(true, found, "bbox" if overlap == "box" else "segm")
        evaluation.run()
        named = zip(TWELVE, evaluation.stats[: len(TWELVE)], strict=True)
        summary |= {f"{overlap}_{name}": 100 * float(value) for name, value in named if value >= 0}
        names = {category["id"]: category["name"] for category in truth["categories"]}
        # (IoU thresholds, recalls, categories, areas, numbers of detections): all areas, 100 detections
        precision_TRK = np.asarray(evaluation.eval["precision"])[:, :, :, 0, -1]
        for number, precision_TR in zip(evaluation.params.catIds, np.moveaxis(precision_TRK, -1, 0), strict=True):
            if (precision_TR > -1).any():
                categories[names[number]][f"{overlap}_ap"] = 100 * float(precision_TR[precision_TR > -1].mean())
    return Scores(summary, categories)


def _only(overlap: Overlap, result: Result) -> Result:
    """A result with nothing but what is compared: beside a box, the area of a mask would be taken to be the box's."""
    shape = "bbox" if overlap == "box" else "segmentation"
    return {name: result[name] for name in ("image_id", "category_id", "score", shape)}


def _check(truth: dict[str, Any], results: list[Result], overlaps: tuple[Overlap, ...]) -> None:
    needed = {"image_id", "category_id", "score", *({"box": "bbox", "mask": "segmentation"}[overlap] for overlap in overlaps)}
    images = {image["id"] for image in truth["images"]}
    for position, result in enumerate(results):
        if missing := needed - result.keys():
            raise UserError(f"results: the one at place {position} has no {' and no '.join(sorted(missing))}; write whole COCO results")
        if result["image_id"] not in images:
            raise UserError(f"results: the one at place {position} is of image {result['image_id']}, which the ground truth doesn't list")
