"""Layout `tiny-imagenet`: Tiny ImageNet as its zip unpacks, `train/<wnid>/images/`, `val/images/` and `val/val_annotations.txt`."""

from pathlib import Path

from dbot.base.errors import UserError
from dbot.data.layouts.files import Files
from dbot.data.layouts.listing import Listing, Place, Sample
from dbot.params.datasets import Dataset

ANNOTATIONS = "val/val_annotations.txt"


def needs(dataset: Dataset) -> str:
    return f"train/<wnid>/images/, val/images/ and {ANNOTATIONS}, or the zip that holds them"


def fits(root: Path, dataset: Dataset) -> bool:
    return Files.holding(root, _is_tiny) is not None


def read(place: Place) -> Listing:
    """Classes are the sorted folders of `train/`, so that labels are those of the same images in class folders."""
    files = Files.holding(place.root, _is_tiny) or Files(place.root)
    found = files.by_folder("train")
    classes = list(found)
    labels = {name: label for label, name in enumerate(classes)}
    training = []
    for name, images in found.items():
        if not images:
            raise UserError(f"{files.root / 'train' / name}: holds no image; complete it from {place.dataset.source}, or remove it")
        training += [Sample(f"train/{name}/{image}", labels[name]) for image in images]
    validation = [Sample(f"val/images/{image}", label) for image, label in _annotations(files, labels)]
    if strangers := sorted({f"val/images/{name}" for name in files.names("val/images")} - {sample.path for sample in validation}):
        raise UserError(f"{files.root / strangers[0]}: {ANNOTATIONS} doesn't name it; restore both from {place.dataset.source}")
    paths = (sample.path for sample in [*training, *validation])
    packed = files.packed(paths)
    return Listing(classes, {"train": training, "validation": validation}, packed=packed, below=files.base, left_out=files.left_out)


def _is_tiny(files: Files) -> bool:
    return files.has(ANNOTATIONS) and files.has_folder("train")


def _annotations(files: Files, labels: dict[str, int]) -> list[tuple[str, int]]:
    """Images and labels in the order of the file, whose lines hold an image, its class and four numbers of a box."""
    path, found = files.root / ANNOTATIONS, []
    for number, line in enumerate(files.lines(ANNOTATIONS), start=1):
        cells = line.split("\t")
        if len(cells) < 2 or cells[1] not in labels:
            raise UserError(f"{path}, line {number}: names no image and a class of train/ ({line[:60]!r}); restore it from its source")
        found.append((cells[0], labels[cells[1]]))
    return found
