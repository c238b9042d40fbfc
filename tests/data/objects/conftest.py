"""A tiny set in COCO's layout: polygons, both kinds of run lengths, a crowd, an image without objects, ids with gaps."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dbot.data.manifest import Manifest, read_manifest
from dbot.data.prepare import prepare
from dbot.params.datasets import Check, Dataset, Split
from dbot.params.dense import DetectAugmentation, DetectInference

HEIGHT, WIDTH = 12, 16
POLYGON = [[2, 3, 8, 3, 8, 9, 2, 9]]
RUNS = {"size": [HEIGHT, WIDTH], "counts": [4 * HEIGHT + 2, 5, 7, 5, HEIGHT * WIDTH - 4 * HEIGHT - 19]}
COMPRESSED = {"size": [HEIGHT, WIDTH], "counts": "b1570f3"}
"""RUNS, as pycocotools writes it."""

CATEGORIES = [{"id": 90, "name": "toothbrush"}, {"id": 1, "name": "person"}, {"id": 13, "name": "stop sign"}]


def annotation(number: int, image: int, **changes: Any) -> dict[str, Any]:
    given = {"id": number, "image_id": image, "category_id": 13, "bbox": [2, 3, 6, 6], "area": 36, "iscrowd": 0, "segmentation": POLYGON}
    return {**given, **changes}


def content() -> dict[str, list[dict[str, Any]]]:
    images = [{"id": number, "file_name": f"{number}.png", "height": HEIGHT, "width": WIDTH} for number in (7, 3, 5, 9)]
    box = {"bbox": [4, 2, 2, 5], "area": 10}
    annotations = [
        annotation(0, 7, category_id=90),
        annotation(4, 7, segmentation=RUNS, **box),
        annotation(5, 7, segmentation=COMPRESSED, **box, category_id=1),
        annotation(6, 7, segmentation=RUNS, **box, iscrowd=1),
        annotation(8, 3),
        annotation(9, 9, segmentation=RUNS, **box, iscrowd=1),
    ]
    return {"images": images, "annotations": annotations, "categories": CATEGORIES}


class CocoSet:
    """A set on disk that a test may damage before it prepares it."""

    def __init__(self, folder: Path, declare: Callable[..., Dataset], picture: Callable[..., Path]) -> None:
        self.folder = folder
        self.declare = declare
        for first, part in ((0, "train"), (100, "val")):
            for image in content()["images"]:
                picture(folder / "set" / part / image["file_name"], size=(WIDTH, HEIGHT), seed=first + image["id"])
            self.write(part, content())

    def write(self, part: str, written: dict[str, Any]) -> None:
        (self.folder / "set" / f"{part}.json").write_text(json.dumps(written))

    def prepare(self, annotations: str = "refuse", out: str = "out", **settings: Any) -> Manifest:
        splits = {part: Split(images=part, annotations=f"{part}.json") for part in ("train", "val")}
        check = Check.model_validate({"decode": "none", "unreadable": "refuse", "annotations": annotations})
        dataset = self.declare(self.folder / "set", "coco", train=splits["train"], validation=splits["val"], **{"check": check, **settings})
        prepare("it", dataset, self.folder / out, self.folder / "copy", threads=1, progress_seconds=1e9)
        return read_manifest(self.folder / out)


@pytest.fixture
def coco(tmp_path: Path, declare: Callable[..., Dataset], picture: Callable[..., Path]) -> CocoSet:
    return CocoSet(tmp_path, declare, picture)


@pytest.fixture
def augmentation() -> DetectAugmentation:
    """The published policy, scaled down from a short side of 800 to one of 64."""
    return DetectAugmentation(
        flip=0.5, short_sides=[38, 51, 64], long_side=107, crop_probability=0.5, crop_short_sides=[32, 40, 48], crop_sides=[31, 48]
    )


@pytest.fixture
def inference() -> DetectInference:
    return DetectInference(short_side=64, long_side=107, score=0.05, nms=0.5, detections=100, mask=0.5)
