"""Layout `voc`: Pascal VOC's objects, `JPEGImages/`, `Annotations/*.xml` and lists of the parts in `ImageSets/`.

The masks of the objects are in `SegmentationObject/`, whose maps number them as the XML does.
"""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from dbot.base.errors import UserError
from dbot.data.images import read_label_map
from dbot.data.layouts.annotations import understood
from dbot.data.layouts.converted import Content, content_of, listing_of
from dbot.data.layouts.files import Files, from_stem
from dbot.data.layouts.listing import PARTS, Listing, Part, Place
from dbot.data.objects.masks import compressed_mask
from dbot.params.datasets import Dataset

IMAGES, ANNOTATIONS, MASKS = "JPEGImages", "Annotations", "SegmentationObject"
LISTS = ("ImageSets/{}.txt", "ImageSets/Main/{}.txt")
"""`images` of a part is the name of its list: `Segmentation/train` for the images with masks, `train` for all."""


def needs(dataset: Dataset) -> str:
    lists = " and ".join(f"ImageSets/{split.images}.txt" for split in (dataset.train, dataset.validation))
    masks = "" if dataset.boxes_only else f"{MASKS}/ "
    return f"{IMAGES}/, {ANNOTATIONS}/, {masks}and {lists}"


def fits(root: Path, dataset: Dataset) -> bool:
    return _found(root, dataset) is not None


def read(place: Place) -> Listing:
    """Images in the order of the lists, classes in that of their names. Objects that are `difficult` count as crowds: neither trained on
    nor scored."""
    files = _found(place.root, place.dataset) or Files(place.root)
    paths = {from_stem(name): f"{IMAGES}/{name}" for name in files.names(IMAGES)}
    masked = not place.dataset.boxes_only
    entries = {part: {name: _entry(files, name, masked) for name in _names(files, place.split(part).images)} for part in PARTS}
    classes = sorted({name for part in PARTS for _, objects in entries[part].values() for name, _ in objects})
    contents: dict[Part, Content] = {}
    for part in PARTS:
        images = [(paths.get(name, f"{IMAGES}/{name}.jpg"), size) for name, (size, _) in entries[part].items()]
        objects = [[{"category_id": classes.index(kind) + 1, **shape} for kind, shape in found] for _, found in entries[part].values()]
        contents[part] = content_of(images, objects, classes)
    listing = listing_of(place, files, contents, {part: f"annotations/{part}.json" for part in PARTS})
    if place.dataset.boxes_only and files.has_folder(MASKS):
        listing.left_out.append(f"{files.root / MASKS}: the masks there are passed over: {place.key('masks')} is none")
    return listing


def _found(root: Path, dataset: Dataset) -> Files | None:
    splits = (dataset.train, dataset.validation)

    def is_voc(files: Files) -> bool:
        return all(map(files.has_folder, (IMAGES, ANNOTATIONS))) and all(_list(files, split.images) for split in splits)

    return Files.holding(root, is_voc)


def _list(files: Files, subset: str) -> str | None:
    return next((path for pattern in LISTS if files.has(path := pattern.format(subset))), None)


def _names(files: Files, subset: str) -> list[str]:
    """The images of a list, whose lines may say more behind the name."""
    return [line.split()[0] for line in files.lines(_list(files, subset) or "")]


def _entry(files: Files, name: str, masked: bool) -> tuple[tuple[int, int] | None, list[tuple[str, dict[str, Any]]]]:
    """Of an image its height and width, and its objects: of each its class, and what COCO says of it, masks included if asked for."""
    path, found = f"{ANNOTATIONS}/{name}.xml", []
    numbers = _numbers(files, name) if masked else None
    try:
        root = ElementTree.fromstring(files.read(path))
    except ElementTree.ParseError as error:
        raise UserError(f"{files.root / path}: is not XML, or not all of it ({error}); restore it") from None
    with understood(files.root / path, "an annotation of Pascal VOC"):
        height, width = (int(root.findtext(f"size/{side}") or 0) for side in ("height", "width"))
        for number, entry in enumerate(root.iter("object"), start=1):
            left, top, right, bottom = (float(entry.findtext(f"bndbox/{side}") or "none") for side in ("xmin", "ymin", "xmax", "ymax"))
            if 0 < max(right, bottom) <= 1:
                raise ValueError(
                    f"the box of object {number} goes up to {right:g}, {bottom:g}: is it a share of the image? Boxes are in pixels"
                )
            shape: dict[str, Any] = {"bbox": [left - 1, top - 1, right - left + 1, bottom - top + 1], "origin": f"{path}, object {number}"}
            if entry.findtext("difficult") == "1":
                shape["iscrowd"] = 1
            if numbers is not None and (mask := numbers == number).any():
                shape["segmentation"] = {"size": list(mask.shape), "counts": compressed_mask(mask).decode("ascii")}
            found.append((str(entry.findtext("name")), shape))
    return (height, width) if min(height, width) > 0 else None, found


def _numbers(files: Files, name: str) -> Any:
    """Which object each pixel belongs to (H, W), or None where nobody said."""
    path = f"{MASKS}/{name}.png"
    return np.asarray(read_label_map(files.root / path, files.read(path))) if files.has(path) else None
