"""Layout `labelmaps`: folders of images and, under the same names, label maps (ADE20K's challenge set), unpacked or in its zip.

A label map says the class of each pixel; which value means which, `label_maps` of the data set says. So it does of names that
differ by a suffix, and of a file of class names; a part may be a list of names (Pascal VOC, Cityscapes, CamVid: docs/data.md).
"""

from pathlib import Path

from dbot.base.errors import UserError
from dbot.data.folders import SUFFIXES
from dbot.data.labelmaps.values import MOST_CLASSES
from dbot.data.layouts.files import Files, from_stem
from dbot.data.layouts.listing import NO_LABEL, PARTS, Listing, Part, Place, Sample
from dbot.params.datasets import Dataset

NAMES = "objectInfo150.txt"
"""ADE20K's table of classes: tab-separated, the name in the last column; in other sets it may have any number of lines."""


def needs(dataset: Dataset) -> str:
    splits = (dataset.train, dataset.validation)
    return " and ".join(f"{split.images}/ with label maps in {split.annotations}/" for split in splits)


def fits(root: Path, dataset: Dataset) -> bool:
    return _found(root, dataset) is not None


def read(place: Place) -> Listing:
    """Images with the label maps of their names; one whose map is missing has the name that it should have, for the audit to find."""
    found, values = _found(place.root, place.dataset) or Files(place.root), place.dataset.label_maps
    samples: dict[Part, list[Sample]] = {}
    for part in PARTS:
        folder, maps = place.split(part).images, place.annotations(part)
        suffix = values.map_suffix or ""
        by_key = dict(_keyed(found.names(maps), suffix))
        images = _keyed(found.names(folder), values.image_suffix or "")
        if images and not any(key in by_key for key, _ in images):
            raise UserError(
                f"{found.root / maps}: holds no label map of the name of any image of {found.root / folder}, "
                f"such as {images[0][0]}{suffix}.png; mend {place.key(part, 'annotations')}, or get them from {place.dataset.source}"
            )
        if place.split(part).list_file is not None:
            images = _listed(found, place, part, dict(images))
        named = [(name, by_key.get(key, f"{key}{suffix}.png")) for key, name in images]
        samples[part] = [Sample(f"{folder}/{name}", NO_LABEL, f"{maps}/{label_map}") for name, label_map in named]
    classes = _classes(found, place)
    _check_values(place, len(classes))
    packed = found.packed(path for part in PARTS for sample in samples[part] for path in (sample.path, sample.annotation))
    return Listing(classes, samples, label_maps=True, packed=packed, below=found.base, left_out=found.left_out)


def _found(root: Path, dataset: Dataset) -> Files | None:
    splits = (dataset.train, dataset.validation)
    if any(split.annotations is None for split in splits):
        return None
    return Files.holding(
        root, lambda files: all(files.has_folder(folder or "") for split in splits for folder in (split.images, split.annotations))
    )


def _keyed(names: list[str], suffix: str) -> list[tuple[str, str]]:
    """Names, each after what an image and its label map share of them; names that don't end in the suffix are left out."""
    return [(from_stem(name).removesuffix(suffix), name) for name in names if from_stem(name).endswith(suffix)]


def _listed(found: Files, place: Place, part: Part, images: dict[str, str]) -> list[tuple[str, str]]:
    """The images that a part's list names, as `_keyed`: by their paths in the folder, or by their names alone; what follows is left."""
    path = place.split(part).list_file or ""
    if not found.has(path):
        raise UserError(f"{found.root / path}: is missing, but {place.key(part, 'list_file')} names it; get it, or mend the key")
    by_name = {Path(key).name: key for key in images}
    suffix, keys = place.dataset.label_maps.image_suffix or "", []
    for line in found.lines(path):
        name = line.split()[0].lstrip("/")
        stem = (from_stem(name) if name.lower().endswith(SUFFIXES) else name).removesuffix(suffix)
        key = stem if stem in images else by_name.get(Path(stem).name)
        if key is None:
            folder = found.root / place.split(part).images
            raise UserError(f"{found.root / path}: names {name}, and {folder} holds no image of that name; restore it")
        keys.append((key, images[key]))
    return keys


def _classes(found: Files, place: Place) -> list[str]:
    named = place.dataset.label_maps.class_names
    if named is not None:
        if not found.has(named):
            raise UserError(
                f"{found.root / named}: is missing, but {place.key('label_maps', 'class_names')} names it; write it, or mend the key"
            )
        return [line.strip() for line in found.lines(named)]
    if found.has(NAMES):
        return [line.split("\t")[-1].strip() for line in found.lines(NAMES)[1:]]
    if place.dataset.classes is None:
        raise UserError(f"{place.key('classes')} is null, and {found.root / NAMES} is missing: state the number of classes")
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
