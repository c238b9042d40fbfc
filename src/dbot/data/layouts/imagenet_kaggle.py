"""Layout `imagenet-kaggle`: ImageNet as Kaggle has it, `ILSVRC/Data/CLS-LOC/train/<wnid>/`, a flat `val/` and `LOC_val_solution.csv`."""

import csv
from pathlib import Path

from dbot.base.errors import UserError
from dbot.data.layouts.files import Files
from dbot.data.layouts.listing import Listing, Place, Sample
from dbot.params.datasets import Dataset

SOLUTION = "LOC_val_solution.csv"
PLACES = ("", "CLS-LOC", "Data/CLS-LOC", "ILSVRC/Data/CLS-LOC")
"""Below whatever folder of Kaggle's is named as the root."""


def needs(dataset: Dataset) -> str:
    return f"ILSVRC/Data/CLS-LOC/ with train/<wnid>/ and a flat val/, and {SOLUTION} there or in a folder above"


def fits(root: Path, dataset: Dataset) -> bool:
    return _found(root) is not None


def read(place: Place) -> Listing:
    """Classes are the sorted folders of `train/`, so that labels are those of the same images in class folders."""
    everything, files = _found(place.root) or (Files(place.root), Files(place.root))
    found = files.by_folder("train")
    classes = list(found)
    labels = {name: label for label, name in enumerate(classes)}
    label_of = _solution(everything, files, labels, place)
    training = [Sample(f"train/{name}/{image}", labels[name]) for name, images in found.items() for image in images]
    validation = []
    for image in files.names("val"):
        if Path(image).stem not in label_of:
            raise UserError(f"{files.root / 'val' / image}: {SOLUTION} doesn't name it; restore both from {place.dataset.source}")
        validation.append(Sample(f"val/{image}", label_of[Path(image).stem]))
    paths = (sample.path for sample in [*training, *validation])
    packed = files.packed(paths)
    return Listing(classes, {"train": training, "validation": validation}, packed=packed, below=files.base, left_out=files.left_out)


def has_solution(root: Path) -> bool:
    """Whether there is anything that says the classes of the validation images."""
    found = _found(root)
    return found is not None and _with_solution(*found, root) is not None


def _found(root: Path) -> tuple[Files, Files] | None:
    """All files of the download that are at hand, on disk or else in its zip, and those of the folder of images."""
    on_disk = any((root / place / "train").is_dir() for place in PLACES)
    everything = Files(root) if on_disk else Files.at(root)
    for place in PLACES:
        here = everything.under(place)
        if here.has_folder("val") and here.folders("train") and not here.folders("val"):
            return everything, here
    return None


def _with_solution(everything: Files, files: Files, root: Path) -> Files | None:
    """The nearest folder that holds the list of classes: that of the images, or one above."""
    parts = Path(files.base).parts
    around = [everything.under("/".join(parts[:depth])) for depth in range(len(parts), -1, -1)]
    known = [*around, *(Files(above) for above in list(root.absolute().parents)[:3])]
    return next((folder for folder in known if folder.has(SOLUTION)), None)


def _solution(everything: Files, files: Files, labels: dict[str, int], place: Place) -> dict[str, int]:
    """By the stem of a validation image, its label. Each line holds an image and, for each of its objects, a class and a box."""
    held = _with_solution(everything, files, place.root)
    if held is None:
        raise UserError(
            f"{files.root / 'val'}: holds images without class folders, and {SOLUTION}, which says their classes, "
            f"lies neither there nor above; put it there from Kaggle's download, or sort the images into folders of classes"
        )
    found = {}
    for number, row in enumerate(csv.reader(held.lines(SOLUTION)), start=1):
        if row and row[0] != "ImageId":
            first = row[1].split(" ")[0] if len(row) > 1 else ""
            if first not in labels:
                raise UserError(
                    f"{held.root / SOLUTION}, line {number}: names the class {first!r}, of which train/ has no folder; restore it"
                )
            found[row[0]] = labels[first]
    return found
