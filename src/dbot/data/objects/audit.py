"""What is wrong with a COCO file, found before any GPU hour is spent on it."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Literal, NamedTuple

from dbot.data.layouts.annotations import read_spelled_coco, understood
from dbot.data.layouts.listing import Part, Sample
from dbot.data.objects import masks

Kind = Literal[
    "missing image",
    "image without size",
    "image of another size",
    "unknown image",
    "unknown category",
    "duplicate id",
    "broken box",
    "empty box",
    "box outside its image",
    "undecodable mask",
    "mask without a pixel",
    "box or mask as shares",
]

SPECK = 2.0
"""Pixels up to which a box may be wide or high whose mask has no pixel: sets have objects so small, which count in evaluation."""


OVER = 2.0
"""Pixels by which a box may reach over the border of its image without being counted: published sets round."""
COMPARED = 4.0
"""Pixels that a box and its mask are wide and high at least where the two are compared: of smaller ones rounding decides."""
FITS = 0.5
"""Intersection over union of a box and the box around its mask from which on they fit."""


@dataclass
class Boxes:
    """How sound boxes lie on their images and around their masks; by that wrong scales and wrong orders of their numbers show."""

    count: int = 0
    reach: float = 0.0
    """The largest share of an image's width or height at which one of them ends."""
    over: int = 0
    """Those that reach over the border of their images."""
    compared: int = 0
    """Those with masks, and large enough to be compared with them."""
    beside: int = 0
    """Those of them that their masks don't fill."""
    example: str = ""
    """One of those, or one that reaches over the border."""

    def add(self, number: Any, box: list[float], mask: tuple[float, ...] | None, height: int, width: int) -> None:
        """Look at the box [left, top, width, height] of annotation ``number``, and at the box around its mask, if it has one."""
        left, top, wide, high = box
        self.count += 1
        self.reach = max(self.reach, (left + wide) / width, (top + high) / height)
        over = left + wide > width + OVER or top + high > height + OVER
        self.over += over
        beside = False
        if mask is not None and min(wide, high, *mask[2:]) >= COMPARED:
            self.compared += 1
            beside = _overlap(box, mask) < FITS
            self.beside += beside
        if (beside or over) and not self.example:
            self.example = f"{box} of annotation {number}"


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes of left, top, width and height."""
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    high = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    both = max(0.0, wide) * max(0.0, high)
    return both / (one[2] * one[3] + other[2] * other[3] - both)


class Defect(NamedTuple):
    """An annotation or an image that can't be used."""

    kind: Kind
    part: Part
    text: str
    """What is wrong with it and where, in a line."""
    annotation: int | None = None
    """Its place in the file's list of annotations, from 0 on; None: the image is at fault."""


@dataclass(frozen=True)
class Audit:
    """What was found in one annotation file."""

    defects: list[Defect]
    objects: int
    """Annotations of the images at hand that are usable targets."""
    crowds: int
    """Annotations of the images at hand that are usable and cover many objects."""
    without: int
    """Images at hand that have no target."""
    by_class: list[int]
    """The objects of each class, in the order of category ids."""
    specks: int
    """Annotations among them that are too small for their mask to have a pixel: no training learns them."""
    annotations: int
    """All of the file, usable or not."""
    outlined: int
    """Those of them that have anything that could be a mask."""
    boxes: Boxes
    """How those of its objects lie."""
    meant: str | None
    """Of a file that writes whole numbers in quotes or as floats, the SHA-256 of what it means, as Python writes JSON, which is how most
    of these files were written; None: it does not."""


def usable_images(
    root: Path, file: str, part: Part, samples: list[Sample], packed: Container[str] = ()
) -> tuple[list[Sample], list[Defect]]:
    """The images that are there, on disk or ``packed`` into archives, and whose size the file states, and what is wrong with the others."""
    there: dict[Path, set[str]] = {}
    usable, defects = [], []
    for sample in samples:
        path = root / sample.path
        if path.parent not in there:
            there[path.parent] = _files_in(path.parent)
        if path.name not in there[path.parent] and sample.path not in packed:
            defects.append(Defect("missing image", part, f"{path}: is missing, but image {sample.annotation} of {file} names it"))
        elif sample.size is None:
            defects.append(Defect("image without size", part, f"{root / file}: image {sample.annotation} states no height and width"))
        else:
            usable.append(sample)
    return usable, defects


def _files_in(folder: Path) -> set[str]:
    """Names of the files in a folder, links among them; what is a pipe or a device is no file."""
    if not folder.is_dir():
        return set()
    return {entry.name for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False) or Path(entry.path).is_file()}


def audit(root: Path, file: str, part: Part, samples: list[Sample], raw: bytes | None = None, masked: bool = True) -> Audit:
    """Look at every annotation of these images, and at those of images that the file doesn't list.

    Args:
        root: folder of the data set.
        file: the annotation file, below the root.
        part: whose file it is.
        samples: the images at hand, each with its size.
        raw: the file's bytes, where it isn't on disk.
        masked: whether the objects shall have masks; else nothing is asked of what there is.

    A box may reach over the border of its image, where it is cut; something of it must lie inside.

    Raises:
        UserError: the file can't be read.
    """
    content, otherwise = read_spelled_coco(root / file, raw)
    defects, crowds, with_target = list[Defect](), 0, set[int]()
    by_category = Counter[int]()
    with understood(root / file, "a COCO annotation file"):
        known = _Known(
            listed={image["id"] for image in content["images"]},
            categories={category["id"] for category in content["categories"]},
            sizes={int(sample.annotation): sample.size for sample in samples if sample.size is not None},
        )
        for position, entry in enumerate(content["annotations"]):
            image: Any = entry.get("image_id")
            if image in known.listed and image not in known.sizes:
                continue
            fault = _first_fault(entry, known, masked)
            if fault is not None:
                where = f"{root / file}: annotation {entry.get('id')} of image {image} (place {position} of the list)"
                where += f", from {entry['origin']}," if "origin" in entry else ""
                defects.append(Defect(fault.kind, part, f"{where} {fault.reason}", position))
            elif entry.get("iscrowd"):
                crowds += 1
            else:
                by_category[entry["category_id"]] += 1
                with_target.add(image)
        outlined = sum(masks.has_outline(entry.get("segmentation")) for entry in content["annotations"])
    return Audit(
        defects,
        by_category.total(),
        crowds,
        len(samples) - len(with_target),
        [by_category[number] for number in sorted(known.categories)],
        len(known.specks),
        len(content["annotations"]),
        outlined,
        known.boxes,
        hashlib.sha256(json.dumps(content).encode()).hexdigest() if otherwise else None,
    )


def skipped_annotations(defects: list[Defect]) -> dict[str, list[int]]:
    """By part, the places of the annotations at fault; parts without any are left out."""
    places: dict[str, list[int]] = {}
    for defect in defects:
        if defect.annotation is not None:
            places.setdefault(defect.part, []).append(defect.annotation)
    return places


@dataclass(frozen=True)
class _Known:
    """What an annotation may refer to."""

    listed: set[int]
    """Ids of all images of the file."""
    categories: set[int]
    sizes: dict[int, tuple[int, int]]
    """By id, height and width of the images at hand."""
    ids: set[Any] = field(default_factory=set)
    """Ids of the annotations before."""
    specks: list[Any] = field(default_factory=list)
    """Ids of those among them that are too small for their mask to have a pixel."""
    boxes: Boxes = field(default_factory=Boxes)
    """Of the objects before that are sound."""


class _Fault(NamedTuple):
    kind: Kind
    reason: str


def _first_fault(entry: dict[str, Any], known: _Known, masked: bool) -> _Fault | None:
    """What is wrong with an annotation, if anything, and why; its mask is looked at only if it shall have one."""
    image, category, number = entry.get("image_id"), entry.get("category_id"), entry.get("id")
    if image not in known.listed:
        return _Fault("unknown image", "names an image that the file doesn't list")
    if category not in known.categories:
        return _Fault("unknown category", f"is of category {category}, which the file doesn't list")
    if number in known.ids:
        return _Fault("duplicate id", "has the id of one before it")
    if number is not None:
        known.ids.add(number)
    height, width = known.sizes[image]
    fault = _box_fault(entry.get("bbox"), height, width)
    if fault is not None:
        return fault
    if not masked:
        fault = _share_fault(entry["bbox"]) if any(side != int(side) for side in entry["bbox"]) else None
        if fault is None and not entry.get("iscrowd"):
            known.boxes.add(number, entry["bbox"], None, height, width)
        return fault
    try:
        counts = masks.compressed(entry.get("segmentation"), height, width)
    except ValueError as error:
        return _Fault("undecodable mask", f"has a mask that can't be decoded: {error}")
    area = masks.area(counts, height, width)
    fault = _place_fault(entry["bbox"], entry["segmentation"], area)
    if fault is None and not area:
        known.specks.append(number)
    if fault is None and not entry.get("iscrowd"):
        known.boxes.add(number, entry["bbox"], masks.box_of(counts, height, width) if area else None, height, width)
    return fault


def _place_fault(box: list[float], segmentation: Any, area: int) -> _Fault | None:
    """What is wrong with a box and its mask of so many pixels, each of which is sound by itself."""
    if area != 1 and (fault := _share_fault(box)) is not None:
        return fault
    if area:
        return None
    if isinstance(segmentation, list) and all(0 <= float(value) <= 1 for polygon in segmentation for value in polygon):
        return _Fault("box or mask as shares", "has a polygon from 0 to 1: are these shares of the image? Polygons are in pixels")
    if min(box[2:]) > SPECK:
        return _Fault("mask without a pixel", f"has a mask without a pixel, and the box {box}")
    return None


def _share_fault(box: list[float]) -> _Fault | None:
    if max(box) > 1:
        return None
    return _Fault("box or mask as shares", f"has the box {box}: is this a share of the image? Boxes are in pixels")


def _box_fault(box: Any, height: int, width: int) -> _Fault | None:
    numbers = isinstance(box, list) and len(box) == 4 and all(isinstance(side, int | float) and isfinite(side) for side in box)
    if not numbers:
        return _Fault("broken box", f"has the box {box}; four numbers make one: left, top, width, height")
    left, top, box_width, box_height = box
    if box_width <= 0 or box_height <= 0:
        return _Fault("empty box", f"has the box {box}, whose width or height is not above 0")
    if left >= width or top >= height or left + box_width <= 0 or top + box_height <= 0:
        return _Fault(
            "box outside its image",
            f"has the box {box}, of which nothing lies on the image of {width} x {height} pixels: is it in other units?",
        )
    return None
