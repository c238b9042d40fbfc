"""Layout `labelmaps`: folders of images and, under the same names, label maps (ADE20K's challenge set).

A label map says the class of each pixel; which value means which, `label_maps` of the data set says.
"""

from pathlib import Path

from dbot.base.errors import UserError
from dbot.data.folders import walk
from dbot.data.labelmaps.values import MOST_CLASSES
from dbot.data.layouts.listing import NO_LABEL, PARTS, Listing, Part, Place, Sample
from dbot.params.datasets import Dataset

NAMES = "objectInfo150.txt"
"""ADE20K's table of classes: tab-separated, the name in the last column; in other sets it may have any number of lines."""


def needs(dataset: Dataset) -> str:
    splits = (dataset.train, dataset.validation)
    return " and ".join(f"{split.images}/ with label maps in {split.annotations}/" for split in splits)


def fits(root: Path, dataset: Dataset) -> bool:
    splits = (dataset.train, dataset.validation)
    return all((root / split.images).is_dir() and split.annotations is not None and (root / split.annotations).is_dir() for split in splits)


def read(place: Place) -> Listing:
    """Images with the label maps of their names; one whose map is missing has the name that it should have, for the audit to find."""
    samples: dict[Part, list[Sample]] = {}
    left_out: list[str] = []
    for part in PARTS:
        folder, maps = place.split(part).images, place.annotations(part)
        found = {name: walk(place.root / name) for name in (folder, maps)}
        left_out += [f"{place.root / name}: left out: {of.left_out}" for name, of in found.items() if str(of.left_out)]
        by_stem, images = {_stem(name): name for name in found[maps].images}, found[folder].images
        if images and not any(_stem(name) in by_stem for name in images):
            raise UserError(
                f"{place.root / maps}: holds no label map of the name of any image of {place.root / folder}, "
                f"such as {_stem(images[0])}.png; mend {place.key(part, 'annotations')}, or get them from {place.dataset.source}"
            )
        named = [(name, by_stem.get(_stem(name), f"{_stem(name)}.png")) for name in images]
        samples[part] = [Sample(f"{folder}/{name}", NO_LABEL, f"{maps}/{label_map}") for name, label_map in named]
    classes = _classes(place)
    _check_values(place, len(classes))
    return Listing(classes, samples, label_maps=True, left_out=left_out)


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
