"""Layout `instance-masks`: a folder for each image, `images/` with the image and `masks/` with one PNG for each object (DSB 2018).

A mask is 0 where its object isn't. `list_file` of a part names its folders where one holds those of both parts. Of a part without masks,
Kaggle's solution (`stage1_solution.csv` of `stage1_test`) has them as run lengths: first pixel, from 1 on, and length, column by column.
"""

import csv
import io
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from dbot.base.errors import UserError
from dbot.data.images import read_label_map
from dbot.data.layouts.annotations import understood
from dbot.data.layouts.converted import Content, content_of, listing_of, size_of
from dbot.data.layouts.files import Files, members
from dbot.data.layouts.listing import PARTS, Listing, Part, Place, Read
from dbot.data.objects.masks import compressed_mask
from dbot.params.datasets import Dataset, Split

IMAGES, MASKS = "/images/", "/masks/"
CLASS = "object"
LOOKED_AT = 20
"""Folders of a part by which this form is told."""
Objects = list[dict[str, Any]]
"""COCO's entries of an image's objects."""


def needs(dataset: Dataset) -> str:
    folders = " and ".join(dict.fromkeys(split.images for split in (dataset.train, dataset.validation)))
    return f"{folders}, in each a folder for each image with images/ and masks/; or zips of these names"


def fits(root: Path, dataset: Dataset) -> bool:
    files = _files(root, dataset)
    first = {split.images: files.folders(split.images)[:LOOKED_AT] for split in (dataset.train, dataset.validation)}
    held = {part: [f"{part}/{folder}" for folder in folders] for part, folders in first.items()}
    masked = any(files.has_folder(f"{folder}/masks") for folder in held[dataset.train.images])
    return masked and all(any(files.has_folder(f"{folder}/images") for folder in folders) for folders in held.values())


def read(place: Place) -> Listing:
    """Images in the order of their folders' names, all objects of one class."""
    files = _files(place.root, place.dataset)
    contents = {part: _content(files, place, part) for part in PARTS}
    return listing_of(place, files, contents, {part: f"annotations/{part}.json" for part in PARTS})


def _files(root: Path, dataset: Dataset) -> Files:
    """The files at a root, and those of a zip that is called as the folder of a part."""
    inside: dict[str, Read] = {}
    for folder in {dataset.train.images, dataset.validation.images}:
        if (archive := root / f"{folder}.zip").is_file():
            inside |= {name if name.startswith(f"{folder}/") else f"{folder}/{name}": read for name, read in members(archive).items()}
    return Files(root, inside)


def _content(files: Files, place: Place, part: Part) -> Content:
    split = place.split(part)
    images: dict[str, str] = {}
    masks: dict[str, list[str]] = defaultdict(list)
    for name in files.names(split.images):
        folder, _, file = name.rpartition("/")
        above, _, kind = folder.rpartition("/")
        if f"/{kind}/" == MASKS:
            masks[above].append(f"{split.images}/{name}")
        elif f"/{kind}/" == IMAGES and (other := images.setdefault(above, file)) != file:
            raise UserError(f"{files.root / split.images / folder}: holds {other} and {file}, where one image must lie; remove one")
    solved = {} if masks else _solution(files, place, part)
    sizes, objects = [], []
    for folder in _listed(files, place, split, part, images):
        path = f"{split.images}/{folder}{IMAGES}{images[folder]}"
        found = solved.get(folder, []) if solved else [_object(files, mask) for mask in masks.get(folder, [])]
        sizes.append((path, size_of(files, path, place.dataset)))
        objects.append(found)
    return content_of(sizes, objects, [CLASS])


def _listed(files: Files, place: Place, split: Split, part: Part, images: dict[str, str]) -> list[str]:
    """The folders of a part: those that its list names, or all."""
    if split.list_file is None:
        return sorted(images)
    if not files.has(split.list_file):
        raise UserError(f"{files.root / split.list_file}: is missing, but {place.key(part, 'list_file')} names it; get it, or mend the key")
    names = [line.strip().strip("/") for line in files.lines(split.list_file)]
    if strangers := [name for name in names if name not in images]:
        raise UserError(f"{files.root / split.list_file}: names {strangers[0]}, and {split.images}/ holds no folder of it with an image")
    return names


def _object(files: Files, path: str) -> dict[str, Any]:
    mask = np.asarray(read_label_map(files.root / path, files.read(path))) > 0
    return _entry(mask.shape, compressed_mask(mask), path)


def _entry(size: tuple[int, ...], counts: bytes, origin: str) -> dict[str, Any]:
    run_lengths = {"size": list(size), "counts": counts}
    box = coco.toBbox(run_lengths).tolist()
    return {"category_id": 1, "bbox": box, "segmentation": {**run_lengths, "counts": counts.decode("ascii")}, "origin": origin}


def _solution(files: Files, place: Place, part: Part) -> dict[str, Objects]:
    """By image, the objects of Kaggle's solution.

    Raises:
        UserError: there is none, or it isn't one.
    """
    split = place.split(part)
    path = f"{split.images.partition('_')[0]}_solution.csv"
    if not files.has(path):
        raise UserError(
            f"{files.root / split.images}: no image of {part} has masks, and {path} is missing; get it, or name folders of "
            f"{place.dataset.train.images}/ in lists, a name a line: {place.key('train', 'list_file')} and {place.key(part, 'list_file')}"
        )
    found: dict[str, Objects] = defaultdict(list)
    with understood(files.root / path, "Kaggle's solution"):
        for line, row in enumerate(csv.DictReader(io.StringIO(files.read(path).decode(errors="replace"))), start=2):
            height, width = int(row["Height"]), int(row["Width"])
            numbers = np.array(row["EncodedPixels"].split(), dtype=np.int64).reshape(-1, 2)
            pixels = np.zeros(height * width, dtype=np.uint8)
            for first, length in (numbers - [1, 0]).tolist():
                pixels[first : first + length] = 1
            found[row["ImageId"]].append(
                _entry((height, width), compressed_mask(pixels.reshape(height, width, order="F")), f"{path}:{line}")
            )
    return found
