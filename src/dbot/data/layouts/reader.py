"""Finding the reader of what lies at a root."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

from dbot.base.errors import UserError
from dbot.data.folders import SUFFIXES, is_utf8
from dbot.data.layouts import (
    cars,
    cifar,
    class_folders,
    coco,
    coco_roboflow,
    corruptions,
    flowers,
    imagefolder,
    imagenet_kaggle,
    imagenet_tars,
    images,
    inat,
    instance_masks,
    labelmaps,
    parquet,
    tiny_imagenet,
    voc,
    webdataset,
    yolo,
)
from dbot.data.layouts.hints import DEEP, KINDS, below, contents, folders, hint, kind_of, refused, unread_labels
from dbot.data.layouts.listing import PARTS, Listing, Place
from dbot.data.layouts.parts import filled, with_usual
from dbot.params.datasets import MEASURED_ON, Dataset, Layout


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
    "instance-masks": instance_masks,
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
    "class-folders": class_folders,
    "corruptions": corruptions,
    "images": images,
}
"""Those that are told by more signs stand before those that would take the same for theirs; in this order they are tried where a
declaration names no layouts, those of sets that are only measured on left out."""
LOOKED_AT = 50
"""Folders below a root of unlabelled images that are looked at for labels."""
LAST: Layout = "images"
"""Fits any folder."""
ANNOTATED: tuple[Layout, ...] = ("coco", "labelmaps", "inat")
"""Layouts that read what `annotations` of a part names; the others would pass over it."""


class _Fit(NamedTuple):
    """A layout that fits."""

    layout: Layout
    dataset: Dataset
    """The declaration, with those folders of parts that it doesn't state."""


class _Found(NamedTuple):
    """What reads a data set, and from where."""

    layout: Layout
    place: Place
    below: str
    """Where that lies below the root that is declared."""


def found_out(name: str, dataset: Dataset) -> Dataset:
    """A declaration with layouts and folders that it doesn't name as they are found at its root.

    Raises:
        UserError: there is no root, or nothing there fits.
    """
    if dataset.embedded is not None:
        return dataset
    found = _found(name, dataset)
    return found.place.dataset if dataset.layouts else found.place.dataset.model_copy(update={"layouts": [found.layout]})


def read_listing(name: str, dataset: Dataset) -> tuple[Layout, Listing]:
    """What lies at a data set's root, by the first of its layouts that fits.

    Raises:
        UserError: there is no root, nothing there fits, or it isn't what params.yaml says.
    """
    layout, place, below = _found(name, dataset)
    if below:
        print(f"{dataset.root}: what {place.key()} names lies one level down, in {below}/, and is read from there", flush=True)
    unnamed = layout == LAST and not dataset.layouts
    try:
        listing = READERS[layout].read(place)
    except UserError as error:
        other = kind_of(place, READERS) if layout == "imagefolder" and dataset.layouts else None
        raise UserError(f"{place.root}: since this looks like {other}; read as {layout}, {error}") if other else error from None
    if unnamed and not listing.samples["train"]:
        raise UserError(f"{place.root}: {contents(place.root)}, and no image was found; mend {place.key('root')}")
    if unnamed:
        there = ", ".join(unread_labels(place.root))
        said = f"; what may be labels and isn't read: {there}" if there else _deeper(place)
        print(f"{place.root}: is read without labels, since no form with labels of both parts was found there{said}", flush=True)
    listing = replace(listing, below=str(PurePosixPath(below, listing.below)) if below else listing.below)
    _check(place, listing)
    return layout, listing


def _found(name: str, dataset: Dataset) -> _Found:
    if not dataset.root:
        raise UserError(
            f"datasets.{name}.root is {'null' if dataset.root is None else 'empty'}: get {dataset.title} from {dataset.source}; "
            f"then write its folder to datasets.{name}.root in params.yaml"
        )
    place = Place(name, Path(dataset.root), dataset)
    if place.root.is_file():
        raise UserError(f"{place.root}: is a file; name the folder that it lies in, write {place.key('root')}: {place.root.parent}")
    if not place.root.is_dir():
        raise UserError(
            f"{place.root}: is no folder, but {place.key('root')} names it; get the data from {dataset.source}, or mend the key"
        )
    fit, below = _fitting(place.root, dataset), ""
    # Without labels anything would do, so where no layout is named it is worth a look whether labels lie in the one folder there.
    if fit is None or (not dataset.layouts and fit.layout == LAST and _holds_one_folder(place.root)):
        deeper = _one_level_down(place.root, dataset)
        below, fit = deeper if deeper is not None else (below, fit)
    unlabelled = fit is None or (not dataset.layouts and fit.layout == LAST)
    if unlabelled and (why := refused(place.root)) is not None:
        raise UserError(why)
    if fit is None:
        known = replace(place, dataset=with_usual(place.root, dataset))
        wanted = "; or ".join(f"{READERS[layout].needs(known.dataset)} (layout {layout})" for layout in _meant(dataset))
        raise UserError(f"{place.root}: {hint(known, READERS)}; {place.key()} needs {wanted}; get it from {dataset.source}")
    return _Found(fit.layout, replace(place, root=place.root / below, dataset=fit.dataset), below)


def _fitting(root: Path, dataset: Dataset) -> _Fit | None:
    """The first layout that fits what lies there."""
    for layout in _meant(dataset):
        for known in filled(root, layout, dataset):
            if READERS[layout].fits(root, known) and (dataset.layouts or _shows_labels(root, layout, known)):
                return _Fit(layout, known)
    return None


def _meant(dataset: Dataset) -> Sequence[Layout]:
    """The layouts to try. Where none is named, all are; with annotations, none that would pass over them."""
    stated = any(split.annotations for split in (dataset.train, dataset.validation))
    return dataset.layouts or (ANNOTATED if stated else [layout for layout in READERS if layout not in MEASURED_ON])


def _shows_labels(root: Path, layout: Layout, dataset: Dataset) -> bool:
    """Whether a layout that nobody named has what it takes to be read: flat folders of parts are images without labels."""
    if layout == "imagefolder":
        return imagefolder.has_class_folders(root, dataset) and not _beside_its_images(folders(root / dataset.train.images))
    return layout != "imagenet-kaggle" or imagenet_kaggle.has_solution(root)


def _beside_its_images(names: Sequence[str]) -> bool:
    """Whether the folders of a part are no classes, but `images` and what belongs to them."""
    return len(names) <= 2 and "images" in names


def _one_level_down(root: Path, dataset: Dataset) -> tuple[str, _Fit] | None:
    """The folder of the root in which the set lies, if there is exactly one; where no layout is named, with labels."""
    fits = [(name, fit) for name in folders(root) if (fit := _fitting(root / name, dataset))]
    found = [(name, fit) for name, fit in fits if dataset.layouts or fit.layout != LAST]
    return found[0] if len(found) == 1 else None


def _deeper(place: Place) -> str:
    """What to say of sets with labels that lie deeper, some levels down, where all of a root is read without labels."""
    for folder in islice(below(place.root, DEEP), LOOKED_AT):
        try:
            fit = _fitting(folder, place.dataset)
        except (UserError, OSError):
            continue  # what is damaged there is no part of this set
        if fit is not None and fit.layout in KINDS:
            return f"; {folder} looks like {KINDS[fit.layout]}: to have it alone, with its labels, write {place.key('root')}: {folder}"
    return ""


def _holds_one_folder(root: Path) -> bool:
    return len(folders(root)) == 1 and not any(path.name.lower().endswith(SUFFIXES) for path in root.iterdir())


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
