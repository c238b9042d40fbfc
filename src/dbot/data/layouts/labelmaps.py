"""Layout `labelmaps`: folders of images and, under the same names, label maps (ADE20K's challenge set).

A label map says the class of each pixel; which value means which, `label_maps` of the data set says.
"""

from pathlib import Path

from dbot.base.errors import UserError
from dbot.data.labelmaps.values import MOST_CLASSES
from dbot.data.layouts.imagefolder import image_files
from dbot.data.layouts.listing import NO_LABEL, PARTS, Listing, Part, Place, Sample
from dbot.params.datasets import Dataset

NAMES = "objectInfo150.txt"
"""ADE20K's table of classes: tab-separated, the name in the last column; in other sets it may have any number of lines."""

MASK = "_mask"
"""What label maps have behind the names of their images where both lie in one folder (Roboflow's export)."""


def needs(dataset: Dataset) -> str:
    splits = (dataset.train, dataset.validation)
    return " and ".join(f"{split.images}/ with label maps in {split.annotations}/" for split in splits)


def fits(root: Path, dataset: Dataset) -> bool:
    splits = (dataset.train, dataset.validation)
    return all((root / split.images).is_dir() and split.annotations is not None and (root / split.annotations).is_dir() for split in splits)


def read(place: Place) -> Listing:
    """Images with the label maps of their names; one whose map is missing has the name that it should have, for the audit to find."""
    samples: dict[Part, list[Sample]] = {}
    for part in PARTS:
        folder, maps = place.split(part).images, place.annotations(part)
        named = _named(place, part)
        samples[part] = [Sample(f"{folder}/{name}", NO_LABEL, f"{maps}/{label_map}") for name, label_map in named]
    classes = _classes(place)
    _check_values(place, len(classes))
    return Listing(classes, samples, label_maps=True)


def _named(place: Place, part: Part) -> list[tuple[str, str]]:
    """Images and label maps by their names, each below its own folder."""
    folder, maps = place.root / place.split(part).images, place.root / place.annotations(part)
    if folder.resolve() == maps.resolve():
        return _told_apart(place, part, image_files(folder))
    by_stem = {_stem(name): name for name in _apart(maps, folder)}
    images = _apart(folder, maps)
    if images and not any(_stem(name) in by_stem for name in images):
        raise UserError(
            f"{maps}: holds no label map of the name of any image of {folder}, "
            f"such as {_stem(images[0])}.png; mend {place.key(part, 'annotations')}, or get them from {place.dataset.source}"
        )
    _require_own_maps(place, part, images)
    return [(name, by_stem.get(_stem(name), f"{_stem(name)}.png")) for name in images]


def _apart(folder: Path, other: Path) -> list[str]:
    """Image files of a folder, without those of the other one if it lies inside."""
    inside = other.resolve().is_relative_to(folder.resolve())
    prefix = f"{other.resolve().relative_to(folder.resolve()).as_posix()}/" if inside else ""
    return [name for name in image_files(folder) if not (prefix and name.startswith(prefix))]


def _told_apart(place: Place, part: Part, files: list[str]) -> list[tuple[str, str]]:
    """Of files in one folder, photographs `x.jpg` with their maps `x.png` or `x_mask.png`.

    Raises:
        UserError: a file is neither, so a map might be taken for an image.
    """
    lossless = {_stem(name): name for name in files if name.lower().endswith(".png")}
    photographs = [name for name in files if not name.lower().endswith(".png")]
    if not photographs:
        photographs = [name for stem, name in lossless.items() if stem + MASK in lossless]
        lossless = {stem: name for stem, name in lossless.items() if stem.endswith(MASK)}
    _require_own_maps(place, part, photographs)
    pairs = [(name, lossless.get(_stem(name)) or lossless.get(_stem(name) + MASK)) for name in photographs]
    used = {name for pair in pairs for name in pair}
    if strangers := [name for name in files if name not in used or (name, None) in pairs]:
        raise UserError(
            f"{place.root / place.split(part).images}: {place.key(part, 'images')} and .annotations are this one folder, where images are "
            f"x.jpg with maps x.png or x{MASK}.png, and {strangers[0]} has no partner; move the maps to a folder of their own"
        )
    return [(name, label_map) for name, label_map in pairs if label_map is not None]


def _require_own_maps(place: Place, part: Part, images: list[str]) -> None:
    owner: dict[str, str] = {}
    for name in images:
        if (first := owner.setdefault(_stem(name), name)) != name:
            raise UserError(
                f"{place.root / place.split(part).images}: {first} and {name} are images of one name, and would share a label map; "
                "remove the one that is none, or rename it"
            )


def _stem(name: str) -> str:
    return str(Path(name).with_suffix(""))


def _classes(place: Place) -> list[str]:
    path = place.root / NAMES
    if path.is_file():
        lines = [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        return [line.split("\t")[-1].strip() for line in lines[1:]]
    if place.dataset.classes is None:
        raise UserError(f"{place.key('classes')} is null, and {path} is missing: state the number of classes")
    first = place.dataset.label_maps.first_class
    return [str(value) for value in range(first, first + place.dataset.classes)]


def _check_values(place: Place, classes: int) -> None:
    if classes > MOST_CLASSES:
        raise UserError(f"{place.key('classes')}: {classes} classes are more than the {MOST_CLASSES} that segmentation can tell apart")
    values = place.dataset.label_maps
    last = values.first_class + classes - 1
    if both := [value for value in values.void if values.first_class <= value <= last]:
        raise UserError(
            f"{place.key('label_maps', 'void')}: {both[0]} is a class too, since classes are {values.first_class} to {last}; "
            f"name other values there ([] if every pixel has a class), or mend {place.key('label_maps', 'first_class')}"
        )
