"""The objects of a prepared data set, without those that `dbot prepare` left out."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dbot.base.digest import file_digest
from dbot.base.errors import UserError
from dbot.data.layouts.annotations import by_id, read_coco
from dbot.data.layouts.listing import Part
from dbot.data.manifest import Manifest
from dbot.data.objects import masks
from dbot.data.objects.transforms import Target


@dataclass(frozen=True)
class Objects:
    """What is on the images of a part, in the manifest's order.

    Arrays and one string of bytes, so that loader processes share their memory: COCO's 860,000
    objects take about 200 MB. Masks are decoded when an image is asked for.
    """

    image_ids: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    """(images, 2): height and width in pixels."""
    starts: npt.NDArray[np.int64]
    """(images + 1,): the objects of image i are those from starts[i] to starts[i + 1]."""
    boxes: npt.NDArray[np.float32]
    """(objects, 4): xyxy in pixels."""
    labels: npt.NDArray[np.int64]
    """From 1 on, in the order of category ids; 0 is left to the background."""
    crowd: npt.NDArray[np.bool_]
    """Regions of many objects: no targets of training, but ignored places of evaluation."""
    runs: bytes
    """Compressed run lengths of all masks, one after the other."""
    run_starts: npt.NDArray[np.int64]
    """(objects + 1,): where each mask begins in `runs`; (0,) where boxes are all there is."""

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def has_masks(self) -> bool:
        """Whether its objects have masks, and not boxes alone."""
        return len(self.run_starts) > 0

    def with_targets(self) -> npt.NDArray[np.int64]:
        """Numbers of the images that have an object which is no crowd."""
        image_of = np.repeat(np.arange(len(self)), np.diff(self.starts))
        return np.unique(image_of[~self.crowd])

    def target(self, number: int) -> Target:
        """The training target of an image: its objects, crowds left out."""
        members = np.arange(self.starts[number], self.starts[number + 1])
        members = members[~self.crowd[members]]
        height, width = self.sizes[number].tolist()
        boxes = {"boxes": torch.from_numpy(self.boxes[members]), "labels": torch.from_numpy(self.labels[members])}
        image = {"image_id": int(self.image_ids[number])}
        if not self.has_masks:
            return {**boxes, **image}
        counts = [self.runs[self.run_starts[member] : self.run_starts[member + 1]] for member in members]
        return {**boxes, "masks": torch.from_numpy(masks.pixels(counts, height, width)), **image}


def read_objects(manifest: Manifest, part: Part, only: Collection[int] | None = None) -> Objects:
    """Read the annotation file of a part.

    Args:
        manifest: of the set.
        part: which.
        only: numbers of the images whose objects are wanted; the others have none, and none of their masks is decoded. None: of all.

    Raises:
        UserError: it isn't the file that was prepared, or the set has none.
    """
    content = _content(manifest, part)
    label_of = {number: label for label, number in enumerate(by_id(content["categories"], "categories", _path(manifest, part)), start=1)}
    ids, sizes, counts = [], [], []
    boxes, labels, crowd, runs = [], [], [], list[bytes]()
    for number, (image, every) in enumerate(_by_image(manifest, part, content)):
        entries = every if only is None or number in only else []
        height, width = int(image["height"]), int(image["width"])
        ids.append(int(image["id"]))
        sizes.append((height, width))
        counts.append(len(entries))
        for entry in entries:
            left, top, box_width, box_height = entry["bbox"]
            boxes.append((left, top, left + box_width, top + box_height))
            labels.append(label_of[entry["category_id"]])
            crowd.append(bool(entry.get("iscrowd")))
            if manifest.masks:
                runs.append(masks.compressed(entry["segmentation"], height, width))
    return Objects(
        image_ids=np.array(ids, dtype=np.int64),
        sizes=np.array(sizes, dtype=np.int64).reshape(-1, 2),
        starts=np.cumsum([0, *counts], dtype=np.int64),
        boxes=np.array(boxes, dtype=np.float32).reshape(-1, 4),
        labels=np.array(labels, dtype=np.int64),
        crowd=np.array(crowd, dtype=np.bool_),
        runs=b"".join(runs),
        run_starts=np.cumsum([0, *map(len, runs)] if manifest.masks else [], dtype=np.int64),
    )


def ground_truth(manifest: Manifest, part: Part = "validation") -> dict[str, Any]:
    """What detections of a part are scored against, as the content of a COCO file: every image, crowds included.

    Annotations are numbered from 1 on: COCO's scoring takes an id of 0 for "not matched", and a set
    may use ids twice. An area that the file doesn't give is that of the mask, or of the box where a set has no masks.

    Raises:
        UserError: as `read_objects`.
    """
    content = _content(manifest, part)
    images, annotations = [], list[dict[str, Any]]()
    for image, entries in _by_image(manifest, part, content):
        height, width = int(image["height"]), int(image["width"])
        images.append({"id": int(image["id"]), "file_name": image["file_name"], "height": height, "width": width})
        for entry in entries:
            known = entry.get("area")
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": int(image["id"]),
                    "category_id": entry["category_id"],
                    "bbox": entry["bbox"],
                    "area": _area(entry, height, width, manifest.masks) if known is None else known,
                    "iscrowd": int(bool(entry.get("iscrowd"))),
                    **({"segmentation": _outline(entry["segmentation"], height, width)} if manifest.masks else {}),
                }
            )
    categories = by_id(content["categories"], "categories", _path(manifest, part))
    named = [{"id": number, "name": str(category["name"])} for number, category in categories.items()]
    return {"images": images, "annotations": annotations, "categories": named}


def _outline(segmentation: Any, height: int, width: int) -> Any:
    """Polygons as they are, run lengths compressed: the scoring knows no sizes that are written as floats."""
    if isinstance(segmentation, list):
        return segmentation
    return {"size": [height, width], "counts": masks.compressed(segmentation, height, width).decode("ascii")}


def _area(entry: dict[str, Any], height: int, width: int, has_mask: bool) -> float:
    if has_mask:
        return masks.area(masks.compressed(entry["segmentation"], height, width), height, width)
    _, _, box_width, box_height = entry["bbox"]
    return float(box_width * box_height)


def _content(manifest: Manifest, part: Part) -> dict[str, list[dict[str, Any]]]:
    if part not in manifest.annotation_files:
        raise UserError(f"{manifest.folder}: is a data set of layout {manifest.layout}, which has no boxes; detection needs layout coco")
    path = _path(manifest, part)
    content = read_coco(path)
    if file_digest(path) != manifest.annotation_files[part]["sha256"]:
        raise UserError(f"{path}: has changed since the data set was prepared; run `dbot prepare` again")
    return content


def _path(manifest: Manifest, part: Part) -> Path:
    return manifest.root / manifest.annotation_files[part]["path"]


def _by_image(
    manifest: Manifest, part: Part, content: dict[str, list[dict[str, Any]]]
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Every image of the manifest in its order, with its annotations in the file's order."""
    images = {int(image["id"]): image for image in content["images"]}
    skipped = frozenset(manifest.skipped.get(part, ()))
    of_image: dict[int, list[dict[str, Any]]] = {int(number): [] for number in manifest.samples(part).annotations}
    for position, entry in enumerate(content["annotations"]):
        if position not in skipped and entry["image_id"] in of_image:
            of_image[entry["image_id"]].append(entry)
    for number, entries in of_image.items():
        yield images[number], entries
