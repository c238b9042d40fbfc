"""Pictures of coloured discs and bars with exact boxes and masks, and their COCO ground truth."""

from typing import Any

import numpy as np
import torch
from pycocotools import mask as rle
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional

from dbot.data.objects.loading import Origin

CATEGORY_IDS = [3, 7, 90]
"""With gaps, as COCO's."""
SHAPES = 3


def picture(number: int, side: int) -> tuple[Tensor, dict[str, Any]]:
    """An image and its target; it depends on the number alone. Every fifth, from the fifth, holds nothing."""
    draws = np.random.default_rng(number)
    pixels = draws.integers(90, 130, (side, side, 3))
    masks: list[np.ndarray] = []
    labels: list[int] = []
    rows, columns = np.mgrid[:side, :side]
    for quarter in range(0 if number % 5 == 4 else SHAPES):
        label = int(draws.integers(1, 4))
        half = side * draws.uniform(0.12, 0.2)
        y, x = (side * (0.25 + 0.5 * place) + draws.uniform(-3, 3) for place in divmod(quarter, 2))
        reach = ((rows - y) ** 2 + (columns - x) ** 2) ** 0.5 if label == 1 else np.maximum(abs(rows - y) * label / 1.5, abs(columns - x))
        inside = reach < half
        pixels[inside] = 40 * label + draws.integers(0, 30, 3) + np.array([0, 60, 120])
        masks.append(inside)
        labels.append(label)
    stacked = torch.from_numpy(np.array(masks).reshape(-1, side, side))
    boxes = [
        [mask.any(0).argmax(), mask.any(1).argmax(), side - mask.any(0)[::-1].argmax(), side - mask.any(1)[::-1].argmax()] for mask in masks
    ]
    found = {
        "boxes": torch.tensor(np.array(boxes, dtype=np.float32)).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "masks": stacked,
        "image_id": 100 + number,
    }
    return torch.from_numpy(pixels.astype(np.uint8)).permute(2, 0, 1), found


class Pictures(Dataset[Any]):
    """Training pictures, asked for (epoch, number)."""

    def __init__(self, count: int, side: int) -> None:
        self.count, self.side = count, side

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, where: tuple[int, int]) -> tuple[Tensor, dict[str, Any]]:
        return picture(where[1], self.side)


class Views(Dataset[Any]):
    """A process's share of the pictures at the size of evaluation."""

    def __init__(self, count: int, side: int, rank: int = 0, world: int = 1, seen: int | None = None) -> None:
        self.numbers, self.side, self.seen = range(rank, count, world), side, seen or side

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, number: int) -> tuple[Tensor, Origin]:
        image, target = picture(self.numbers[number], self.side)
        return functional.resize(image, [self.seen] * 2), Origin(target["image_id"], self.side, self.side, self.seen, self.seen)


def ground_truth(count: int, side: int) -> dict[str, Any]:
    """The pictures as a COCO file."""
    images, annotations = [], []
    for number in range(count):
        _, target = picture(number, side)
        images.append({"id": target["image_id"], "file_name": f"{number}.png", "width": side, "height": side})
        for (x0, y0, x1, y1), label, mask in zip(target["boxes"].tolist(), target["labels"], target["masks"], strict=True):
            encoded = rle.encode(np.asfortranarray(mask.numpy(), dtype=np.uint8))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": target["image_id"],
                    "category_id": CATEGORY_IDS[int(label) - 1],
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": int(rle.area(encoded)),
                    "iscrowd": 0,
                    "segmentation": {"size": encoded["size"], "counts": encoded["counts"].decode("ascii")},
                }
            )
    return {"images": images, "annotations": annotations, "categories": [{"id": number, "name": str(number)} for number in CATEGORY_IDS]}


def average_precision(truth: dict[str, Any], results: list[dict[str, Any]], kind: str) -> float:
    """COCO's AP of `bbox` or `segm`, by pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    known = COCO()
    known.dataset = truth
    known.createIndex()
    # With boxes beside the masks, pycocotools would take areas from the boxes.
    kept = [result if kind == "bbox" else {k: v for k, v in result.items() if k != "bbox"} for result in results]
    evaluation = COCOeval(known, known.loadRes(kept), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return float(evaluation.stats[0])
