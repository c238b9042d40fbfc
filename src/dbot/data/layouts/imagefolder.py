"""Layout `imagefolder`: a folder for each part, in it a folder for each class, in it images (ImageNet)."""

import os
from pathlib import Path

from dbot.base.errors import UserError
from dbot.data.layouts.listing import PARTS, Listing, Part, Place, Sample
from dbot.params.datasets import Dataset

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")


def needs(dataset: Dataset) -> str:
    return f"folders of classes below {dataset.train.images}/ and {dataset.validation.images}/"


def fits(root: Path, dataset: Dataset) -> bool:
    return all((root / split.images).is_dir() for split in (dataset.train, dataset.validation))


def read(place: Place) -> Listing:
    classes = class_folders(place.root / place.dataset.train.images, place)
    labels = {name: label for label, name in enumerate(classes)}
    found: dict[Part, list[Sample]] = {}
    for part in PARTS:
        folder = place.root / place.split(part).images
        names = class_folders(folder, place)
        if strangers := [name for name in names if name not in labels]:
            raise UserError(
                f"{folder / strangers[0]}: no class of {place.root / place.dataset.train.images} has this name; rename or remove it"
            )
        found[part] = []
        empty = []
        for name in names:
            files = image_files(folder / name)
            if not files:
                empty.append(name)
            prefix = f"{place.split(part).images}/{name}"
            found[part].extend(Sample(f"{prefix}/{file}", labels[name]) for file in files)
        if empty:
            more = f" (nor do {len(empty) - 1} other class folders)" if empty[1:] else ""
            raise UserError(f"{folder / empty[0]}: holds no image{more}; complete it from {place.dataset.source}, or remove it")
    return Listing(classes, found)


def class_folders(folder: Path, place: Place) -> list[str]:
    """Names of the class folders, sorted."""
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise UserError(f"{folder}: holds no class folders; unpack the data so that {needs(place.dataset)} lie in {place.root}")
    return names


def image_files(folder: Path) -> list[str]:
    """Image files at any depth below a folder, relative to it, sorted. Hidden ones (`._x.jpg` of a Mac) are left out."""
    found: list[str] = []
    for here, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = os.path.relpath(here, folder)
        prefix = "" if below == "." else f"{below}/"
        found.extend(prefix + name for name in files if name.lower().endswith(SUFFIXES) and not name.startswith("."))
    return sorted(found)
