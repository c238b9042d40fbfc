"""Finding the reader of what lies at a root."""

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Protocol

from dbot.base.errors import UserError
from dbot.data.layouts import (
    cars,
    cifar,
    coco,
    coco_roboflow,
    flowers,
    imagefolder,
    imagenet_kaggle,
    imagenet_tars,
    inat,
    labelmaps,
    parquet,
    tiny_imagenet,
    voc,
    webdataset,
    yolo,
)
from dbot.data.layouts.hints import folders, hint, kind_of
from dbot.data.layouts.listing import PARTS, Listing, Place
from dbot.params.datasets import Dataset, Layout


class Reader(Protocol):
    """The functions that each module of a layout has."""

    def needs(self, dataset: Dataset) -> str:
        """What must lie below the root, in words for a message."""

    def fits(self, root: Path, dataset: Dataset) -> bool:
        """Whether that lies there."""

    def read(self, place: Place) -> Listing:
        """What lies there; a `UserError` names the file that is missing or wrong."""


READERS: dict[Layout, Reader] = {
    "tiny-imagenet": tiny_imagenet,
    "imagenet-kaggle": imagenet_kaggle,
    "coco-roboflow": coco_roboflow,
    "yolo": yolo,
    "voc": voc,
    "imagefolder": imagefolder,
    "coco": coco,
    "labelmaps": labelmaps,
    "cifar": cifar,
    "cars": cars,
    "flowers": flowers,
    "inat": inat,
    "imagenet-tars": imagenet_tars,
    "parquet": parquet,
    "webdataset": webdataset,
}
"""Those that are told by more signs stand before those that would take the same for theirs."""


def read_listing(name: str, dataset: Dataset) -> tuple[Layout, Listing]:
    """What lies at a data set's root, by the first of its layouts that fits.

    Raises:
        UserError: there is no root, nothing there fits, or it isn't what params.yaml says.
    """
    if dataset.root is None:
        raise UserError(
            f"datasets.{name}.root is null: get {dataset.title} from {dataset.source}; "
            f"then write its folder to datasets.{name}.root in params.yaml"
        )
    place = Place(name, Path(dataset.root), dataset)
    if not place.root.is_dir():
        raise UserError(
            f"{place.root}: is no folder, but {place.key('root')} names it; get the data from {dataset.source}, or mend the key"
        )
    layout = _fitting(place.root, dataset)
    below = None if layout else _one_level_down(place)
    if below is not None:
        print(f"{place.root}: what {place.key()} names lies one level down, in {below}/, and is read from there", flush=True)
        place = replace(place, root=place.root / below)
        layout = _fitting(place.root, dataset)
    if layout is None:
        wanted = "; or ".join(f"{READERS[layout].needs(dataset)} (layout {layout})" for layout in dataset.layouts)
        raise UserError(f"{place.root}: {hint(place, READERS)}; {place.key()} needs {wanted}; get it from {dataset.source}")
    try:
        listing = READERS[layout].read(place)
    except UserError as error:
        other = kind_of(place, READERS) if layout == "imagefolder" else None
        raise UserError(f"{error}; or, since this looks like {other}") if other else error from None
    listing = replace(listing, below=str(PurePosixPath(below or "", listing.below)) if below else listing.below)
    _check(place, listing)
    return layout, listing


def _fitting(root: Path, dataset: Dataset) -> Layout | None:
    return next((layout for layout in dataset.layouts if READERS[layout].fits(root, dataset)), None)


def _one_level_down(place: Place) -> str | None:
    """The folder of the root in which the set lies, if there is exactly one."""
    found = [name for name in folders(place.root) if _fitting(place.root / name, place.dataset)]
    return found[0] if len(found) == 1 else None


def _check(place: Place, listing: Listing) -> None:
    stated = place.dataset.classes
    if stated is not None and len(listing.classes) != stated:
        raise UserError(
            f"{place.root}: holds {len(listing.classes)} classes, {place.key('classes')} says {stated}; "
            f"complete the data from {place.dataset.source}, or set {place.key('classes')}: null if another number is meant"
        )
    for part in PARTS:
        samples, split = listing.samples[part], place.split(part)
        if split.count is not None and len(samples) != split.count:
            raise UserError(
                f"{place.root / split.images}: {part} has {len(samples)} images, {place.key(part, 'count')} says {split.count}; "
                f"complete the data from {place.dataset.source}, or set {place.key(part, 'count')}: null if another number is meant"
            )
        if not samples:
            raise UserError(f"{place.root / split.images}: {part} has no images; get them from {place.dataset.source}")
        for sample in samples:
            _check_name(place, sample.path)


def _check_name(place: Place, path: str) -> None:
    """Names go into a table of lines and tabs, and below the folder of a prepared copy."""
    if any(character in path for character in "\t\n\r") or not _is_utf8(path):
        raise UserError(f"{place.root}: the file name {path!r} holds a tab, a line break or bytes that are not UTF-8; rename it")
    if path.startswith("/") or ".." in path.split("/"):
        raise UserError(f"{place.root}: an annotation names the image {path!r}, which leads out of the root; mend the annotation")


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
