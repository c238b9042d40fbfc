"""A detector's output as COCO results (https://cocodataset.org/#format-results), and COCO's scores of them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dbot.base.errors import UserError
from dbot.base.files import write_whole
from dbot.data.objects.loading import Origin
from dbot.data.objects.masks import compressed_mask

Result = dict[str, Any]
"""image_id, category_id, bbox (xywh), score, and of a detector with mask heads segmentation (size, counts)."""


def coco_results(detections: Mapping[str, Tensor], origin: Origin, category_ids: Sequence[int], threshold: float) -> list[Result]:
    """One image's detections in COCO's format, in the pixels of the image itself.

    Args:
        detections: boxes (N, 4) xyxy in pixels of the view, scores (N,), labels (N,) from 1 on, and,
            unless the detector has none, masks (N, M, M) or (N, 1, M, M): probabilities on a grid that spans the box.
        origin: of the view.
        category_ids: ids in the order of the labels.
        threshold: probability from which on a pixel belongs to a mask.

    Masks are made one at a time: 100 of them at full size would take 123 MB of float32 an image.
    """
    sizes = (origin.width, origin.height, origin.width, origin.height)
    views = (origin.view_width, origin.view_height, origin.view_width, origin.view_height)
    boxes_N4 = detections["boxes"].detach().double().cpu() * torch.tensor([o / v for o, v in zip(sizes, views, strict=True)])
    results: list[Result] = []
    for box, score, label in zip(boxes_N4, detections["scores"].tolist(), detections["labels"].tolist(), strict=True):
        left, top, right, bottom = torch.minimum(box.clamp(min=0), torch.tensor(sizes)).tolist()
        results.append(
            {
                "image_id": origin.image_id,
                "category_id": category_ids[label - 1],
                "bbox": [round(value, 3) for value in (left, top, right - left, bottom - top)],
                "score": round(score, 6),
            }
        )
    if "masks" in detections:
        grids = detections["masks"].detach().float().cpu().flatten(0, -3)
        for result, box, grid in zip(results, boxes_N4, grids, strict=True):
            mask = pasted(grid, box, origin.height, origin.width) >= threshold
            counts = compressed_mask(mask.numpy()).decode("ascii")
            result["segmentation"] = {"size": [origin.height, origin.width], "counts": counts}
    return results


def pasted(grid: Tensor, box: Tensor, height: int, width: int) -> Tensor:
    """Probabilities (H, W) of an image's pixels from those (M, M) of a grid over a box xyxy; 0 outside.

    Bilinear between the centres of cells and of pixels, without rounding the box, which torchvision's
    `paste_masks_in_image` does: half a pixel matters for small objects.
    """
    left, top, right, bottom = box.tolist()
    first_row, last_row = max(0, int(top)), min(height, int(bottom) + 1)
    first_column, last_column = max(0, int(left)), min(width, int(right) + 1)
    image = torch.zeros(height, width)
    if right <= left or bottom <= top or first_row >= last_row or first_column >= last_column:
        return image
    rows, columns = torch.arange(first_row, last_row), torch.arange(first_column, last_column)
    y = (rows + 0.5 - top) / (bottom - top) * 2 - 1
    x = (columns + 0.5 - left) / (right - left) * 2 - 1
    places = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).float()
    values = functional.grid_sample(grid[None, None], places[None], mode="bilinear", padding_mode="zeros", align_corners=False)
    image[first_row:last_row, first_column:last_column] = values[0, 0]
    return image


def in_order(results: list[Result]) -> list[Result]:
    """Results in the order of image ids."""
    # Stable, so the results of an image stay as the detector ranked them.
    return sorted(results, key=lambda result: int(result["image_id"]))


def write_results(path: Path, results: list[Result]) -> None:
    """Write results as one JSON list, whole or not at all."""
    write_whole(path, (json.dumps(results, separators=(",", ":"), allow_nan=False) + "\n").encode())


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


def overlaps_of(masks: bool) -> tuple[Overlap, ...]:
    """What detections of a set, with masks or without, can be compared by."""
    return ("box", "mask") if masks else ("box",)


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
    images, kinds = (_ranks(truth[section]) for section in ("images", "categories"))
    numbered = {
        "images": [{**image, "id": images[image["id"]]} for image in truth["images"]],
        "categories": [{**category, "id": kinds[category["id"]]} for category in truth["categories"]],
    }
    for overlap in overlaps:
        # The library writes into what it is given.
        true = COCO({**truth, **numbered, "annotations": [_renumbered(entry, images, kinds) for entry in truth["annotations"]]})
        found = true.loadRes([_renumbered(_only(overlap, result), images, kinds) for result in results if result["category_id"] in kinds])
        evaluation = COCOeval_faster(true, found, "bbox" if overlap == "box" else "segm")
        evaluation.run()
        named = zip(TWELVE, evaluation.stats[: len(TWELVE)], strict=True)
        summary |= {f"{overlap}_{name}": 100 * float(value) for name, value in named if value >= 0}
        names = {kinds[category["id"]]: category["name"] for category in truth["categories"]}
        # (IoU thresholds, recalls, categories, areas, numbers of detections): all areas, 100 detections
        precision_TRK = np.asarray(evaluation.eval["precision"])[:, :, :, 0, -1]
        for number, precision_TR in zip(evaluation.params.catIds, np.moveaxis(precision_TRK, -1, 0), strict=True):
            if (precision_TR > -1).any():
                categories[names[number]][f"{overlap}_ap"] = 100 * float(precision_TR[precision_TR > -1].mean())
    return Scores(summary, categories)


def _ranks(entries: Iterable[dict[str, Any]]) -> dict[int, int]:
    """By id, the place in the order of ids, from 1 on: the library knows no ids below 0, and takes images and categories in that order."""
    return {number: place for place, number in enumerate(sorted(entry["id"] for entry in entries), start=1)}


def _renumbered(entry: dict[str, Any], images: dict[int, int], categories: dict[int, int]) -> dict[str, Any]:
    return {**entry, "image_id": images[entry["image_id"]], "category_id": categories[entry["category_id"]]}


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
