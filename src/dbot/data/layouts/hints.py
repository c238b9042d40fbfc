"""What lies at a root that no declared layout fits, and the line that would help."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from dbot.base.errors import UserError
from dbot.data.folders import SUFFIXES, is_passed_over
from dbot.data.layouts.files import MOST_FOLDERS, archives, members
from dbot.data.layouts.listing import PARTS, Place
from dbot.params.datasets import Dataset, Layout

KINDS: dict[Layout, str] = {
    "tiny-imagenet": "Tiny ImageNet",
    "imagenet-kaggle": "Kaggle's ImageNet",
    "imagenet-tars": "the tars of image-net.org",
    "parquet": "parquet shards of the Hugging Face hub",
    "webdataset": "WebDataset's tar shards",
    "coco-roboflow": "Roboflow's COCO export",
    "yolo": "YOLO's text files",
    "voc": "Pascal VOC's XML",
    "instance-masks": "one mask of each object, as of DSB 2018",
    "coco": "COCO's JSON",
    "labelmaps": "images with label maps",
    "cifar": "CIFAR's pickles",
    "imagefolder": "folders of classes",
}
"""What a person would call what a layout reads, what is told by more signs first."""
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar", ".gz")
"""Archives whose files can't be read one by one."""
DEEP = 3
"""How many levels down a set is looked for."""
NAMED = 5
"""How many files and folders a message names."""


FULL_ADE20K = (
    "this is the full ADE20K, whose colours code thousands of kinds of objects and their parts; the published numbers are of the scene "
    "parsing challenge's 150 classes, so get ADEChallengeData2016.zip of sceneparsing.csail.mit.edu"
)
"""Why it is refused."""
MATLAB_MAPS = (
    "holds Pascal Context's 459 classes in MATLAB files, more than segmentation tells apart; the published numbers are of its 59 (or 60) "
    "most frequent ones, so get those as PNG (SegmentationClassContext/) with the lists of ImageSets/SegmentationContext/"
)
"""Why they are refused."""


class Fitting(Protocol):
    """The one function of a reader that is asked here."""

    def fits(self, root: Path, dataset: Dataset) -> bool:
        """Whether what it reads lies there."""


Readers = Mapping[Layout, Fitting]


def kind_of(place: Place, readers: Readers) -> str | None:
    """What a root looks like that another layout than those declared would read, and the line that makes it be read."""
    for layout, kind in KINDS.items():
        if layout == "imagefolder" and not all(map(folders, _parts(place))):
            continue
        if layout not in place.dataset.layouts and _fits(readers, [layout], place.root, place.dataset):
            return f"{kind}, write {place.key('layouts')}: [{layout}]"
    return None


def hint(place: Place, readers: Readers) -> str:
    """What was found at a root that doesn't fit, and what to write; the beginning of a message."""
    root, declared = place.root, place.dataset.layouts
    if "voc" not in declared and any((root / "Annotations").glob("*.xml")):
        lists = f"{place.key('train', 'images')} and {place.key('validation', 'images')}"
        return f"here is Pascal VOC's XML, write {place.key('layouts')}: [voc], and the names of two lists of ImageSets/ to {lists}"
    if kind := kind_of(place, readers):
        return f"since this looks like {kind}"
    deeper = [folder for folder in below(root, DEEP) if _fits(readers, declared, folder, place.dataset)]
    if deeper:
        where = " or ".join(str(folder) for folder in deeper[:NAMED])
        return f"what is asked for lies deeper, write {place.key('root')}: {where}"
    above = next((folder for folder in list(root.absolute().parents)[:2] if not _has_archives(folder)), None)
    if above is not None and _fits(readers, declared, above, place.dataset):
        return f"what is asked for lies above, write {place.key('root')}: {above}"
    for folder in below(root, 1):
        if kind := kind_of(Place(place.name, folder, place.dataset), readers):
            return f"since {folder.name}/ looks like {kind} and {place.key('root')}: {folder}"
    return contents(root)


def refused(root: Path) -> str | None:
    """Where at a root, or some levels down, a form lies that isn't read, and why; None where there is none."""
    for folder in (root, *below(root, 2)):
        if (folder / "images/ADE/training").is_dir():
            return f"{folder}: {FULL_ADE20K}"
        if holds_matlab_maps(folder):
            return f"{folder}: {MATLAB_MAPS}"
    return None


def holds_matlab_maps(folder: Path) -> bool:
    """Whether a folder holds label maps as Pascal Context has them, `2008_000002.mat` and so on."""
    return next(folder.glob("[12][0-9][0-9][0-9]_*.mat"), None) is not None


def unread_labels(root: Path) -> list[str]:
    """What lies at a root that is read without labels and looks as if it held some, each with what it lacks to be read."""
    found = []
    if any((root / "Annotations").glob("*.xml")):
        found.append("Annotations/*.xml (layout voc needs JPEGImages/ and lists of the parts in ImageSets/)")
    found += [f"{path.relative_to(root)} (layout coco: name it as `annotations` of its part)" for path in _jsons(root)[:1]]
    named = {name.lower(): name for name in folders(root)}
    train = next((named[name] for name in ("train", "training") if name in named), None)
    if "labels" in named or (train is not None and (root / train / "labels").is_dir()):
        found.append("labels/ (layout yolo needs data.yaml)")
    elif maps := [name for small, name in named.items() if small in ("annotations", "masks", "maps")]:
        found.append(f"{maps[0]}/ (layout labelmaps needs PNGs there, called as the images)")
    elif train is not None and folders(root / train):
        found.append(f"{train}/*/ (folders of classes need a part for validation, such as val/*/)")
    return found


def _jsons(root: Path) -> list[Path]:
    return sorted(path for pattern in ("*.json", "annotations/*.json") for path in root.glob(pattern))


def _parts(place: Place) -> list[Path]:
    """The folders of the parts that are there."""
    return [folder for part in PARTS if (folder := place.root / place.split(part).images).is_dir()]


def contents(root: Path) -> str:
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in root.iterdir())
    packed = [name for name in names if name.lower().endswith(COMPRESSED)]
    if packed:
        return (
            f"{packed[0]} is compressed as a whole, unpack it there (so with {len(packed) - 1} more)"
            if packed[1:]
            else (f"{packed[0]} is compressed as a whole, unpack it there")
        )
    if not names:
        return "is empty"
    held = archives(root)
    more = f"; {_inside(held[0])}" if held else ""
    return f"holds {', '.join(names[:NAMED])}{', …' if names[NAMED:] else ''}{more}"


def _inside(archive: Path) -> str:
    """What to say of an archive that no layout reads."""
    try:
        images = sum(name.lower().endswith(SUFFIXES) for name in members(archive))
    except UserError:
        images = 0
    if not images:
        return f"what {archive.name} holds doesn't fit either"
    return f"{archive.name} holds {images} images in no form that is read from archives (folders of classes, and photographs, are unpacked)"


def folders(root: Path) -> list[str]:
    """Names of the folders in a folder, hidden ones left out, sorted."""
    return sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not is_passed_over(entry.name))


def below(root: Path, deep: int) -> Iterator[Path]:
    """Folders below a root, level by level; those of classes are not looked into."""
    level = [root]
    for _ in range(deep):
        level = [here / name for here in level for name in _few(folders(here))]
        yield from level


def _few(names: list[str]) -> list[str]:
    return names if len(names) <= MOST_FOLDERS else []


def _has_archives(folder: Path) -> bool:
    try:
        return bool(archives(folder))
    except OSError:
        return True


def _fits(readers: Readers, layouts: list[Layout] | tuple[Layout, ...], root: Path, dataset: Dataset) -> bool:
    """Whether one of some layouts fits; a damaged file is not for a hint to complain about."""
    try:
        return any(readers[layout].fits(root, dataset) for layout in layouts)
    except (UserError, OSError):
        return False
