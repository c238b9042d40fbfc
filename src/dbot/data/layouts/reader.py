"""Finding the reader of what lies at a root."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from dbot.base.errors import UserError
from dbot.data.folders import is_utf8
from dbot.data.layouts import cars, cifar, coco, flowers, imagefolder, images, inat, labelmaps
from dbot.data.layouts.listing import PARTS, Listing, Part, Place
from dbot.params.datasets import Dataset, Layout, Split


class Reader(Protocol):
    """The functions that each module of a layout has."""

    def needs(self, dataset: Dataset) -> str:
        """What must lie below the root, in words for a message."""

    def fits(self, root: Path, dataset: Dataset) -> bool:
        """Whether that lies there."""

    def read(self, place: Place) -> Listing:
        """What lies there; a `UserError` names the file that is missing or wrong."""


READERS: dict[Layout, Reader] = {
    "imagefolder": imagefolder,
    "coco": coco,
    "labelmaps": labelmaps,
    "cifar": cifar,
    "cars": cars,
    "flowers": flowers,
    "inat": inat,
    "images": images,
}
LAST: Layout = "images"
"""Fits any folder, so that it is tried last where a declaration names no layouts."""
PART_FOLDERS: dict[Part, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev", "test"),
}
"""How the folders of parts are called, in any case, where a declaration doesn't say."""
SUBSETS: dict[Layout, dict[Part, str | None]] = {
    "cifar": {"train": "train", "validation": "test"},
    "cars": {"train": "train", "validation": "test"},
    "flowers": {"train": "trnid+valid", "validation": "tstid"},
}
"""How layouts whose files name the parts call them."""


def found_out(name: str, dataset: Dataset) -> Dataset:
    """A declaration with layouts and folders that it doesn't name as they are found at its root.

    Raises:
        UserError: there is no root, or nothing there fits.
    """
    place = _place(name, dataset)
    if dataset.embedded is not None:
        return dataset
    below = {entry.name.lower(): entry.name for entry in place.root.iterdir() if entry.is_dir()}
    usual = {part: next((below[known] for known in PART_FOLDERS[part] if known in below), None) for part in PARTS}
    layout = _fitting(place, _with_parts(dataset, usual))
    # Which folders there are decides nothing for images without labels: all are read, but those that are stated apart.
    whole = dataset if layout == LAST else _with_parts(dataset, SUBSETS.get(layout, usual))
    return whole if dataset.layouts else whole.model_copy(update={"layouts": [layout]})


def _with_parts(dataset: Dataset, folders: Mapping[Part, str | None]) -> Dataset:
    """A declaration with the folders of those parts that it doesn't state."""
    unstated = {part: folder for part, folder in folders.items() if part not in dataset.model_fields_set}
    return dataset.model_copy(update={part: Split(images=folder) for part, folder in unstated.items() if folder is not None})


def read_listing(name: str, dataset: Dataset) -> tuple[Layout, Listing]:
    """What lies at a data set's root, by the first of its layouts that fits.

    Raises:
        UserError: there is no root, nothing there fits, or it isn't what params.yaml says.
    """
    place = _place(name, found_out(name, dataset))
    layout = _fitting(place, place.dataset)
    listing = READERS[layout].read(place)
    _check(place, listing)
    return layout, listing


def _place(name: str, dataset: Dataset) -> Place:
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
    return place


def _fitting(place: Place, dataset: Dataset) -> Layout:
    """The first layout that fits what lies there. Where none is named, all are tried, those that show less of the labels last."""
    for layout in dataset.layouts or _by_labels(place, dataset):
        if READERS[layout].fits(place.root, dataset):
            return layout
    named = dataset.layouts or list(READERS)
    wanted = "; or ".join(f"{READERS[layout].needs(dataset)} (layout {layout})" for layout in named)
    raise UserError(
        f"{place.root}: doesn't hold what {place.key()} needs, which is {wanted}; get it from {dataset.source}, or mend {place.key('root')}"
    )


def _by_labels(place: Place, dataset: Dataset) -> list[Layout]:
    """Every layout that may be meant where none is named: with annotations, none that would pass over them."""
    unfit: set[Layout] = set()
    if any(split.annotations for split in (dataset.train, dataset.validation)):
        unfit = {"imagefolder", LAST}
    elif not (imagefolder.fits(place.root, dataset) and imagefolder.has_class_folders(place.root, dataset)):
        unfit = {"imagefolder"}
    return sorted(set(READERS) - unfit, key=lambda known: (known == LAST, list(READERS).index(known)))


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
        if not samples and part in listing.parts:
            raise UserError(f"{place.root / split.images}: {part} has no images; get them from {place.dataset.source}")
        for sample in samples:
            _check_name(place, sample.path)


def _check_name(place: Place, path: str) -> None:
    """Names go into a table of lines and tabs, and below the folder of a prepared copy."""
    if any(character in path for character in "\t\n\r") or not is_utf8(path):
        raise UserError(f"{place.root}: the file name {path!r} holds a tab, a line break or bytes that are not UTF-8; rename it")
    if path.startswith("/") or ".." in path.split("/"):
        raise UserError(f"{place.root}: an annotation names the image {path!r}, which leads out of the root; mend the annotation")
