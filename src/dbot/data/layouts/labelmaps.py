"""Layout `labelmaps`: folders of images and, under the same names, label maps (ADE20K's challenge set), unpacked or in its zip.

A label map says the class of each pixel; which value means which, `label_maps` of the data set says. So it does of names that
differ by a suffix, and of a file of class names; a part may be a list of names (Pascal VOC, Cityscapes, CamVid: docs/data.md).
"""

from pathlib import Path
from unicodedata import normalize

from dbot.base.errors import UserError
from dbot.data.folders import SUFFIXES
from dbot.data.images import read_label_map
from dbot.data.labelmaps.values import IGNORE, MOST_CLASSES, values_of
from dbot.data.layouts.files import Files, from_stem
from dbot.data.layouts.hints import MATLAB_MAPS, holds_matlab_maps
from dbot.data.layouts.listing import NO_LABEL, PARTS, Listing, Part, Place, Sample
from dbot.params.datasets import Dataset, LabelMaps

NAMES = "objectInfo150.txt"
"""ADE20K's table of classes: tab-separated, the name in the last column; in other sets it may have any number of lines."""

MASK = "_mask"
"""What label maps have behind the names of their images where both lie in one folder (Roboflow's export)."""


LOOKED_AT = 1_000
"""Label maps, evenly spread, whose values say how many classes there are, where nobody does; `prepare` finds other values in the rest."""


def needs(dataset: Dataset) -> str:
    splits = (dataset.train, dataset.validation)
    if any(split.annotations is None for split in splits):
        return "images/training, annotations/training and so on; or, otherwise called, `images` and `annotations` of each part"
    return " and ".join(f"{split.images}/ with label maps in {split.annotations}/" for split in splits)


def fits(root: Path, dataset: Dataset) -> bool:
    return _found(root, dataset) is not None


def read(place: Place) -> Listing:
    """Images with the label maps of their names; one whose map is missing has the name that it should have, for the audit to find."""
    found = _found(place.root, place.dataset) or Files(place.root)
    samples: dict[Part, list[Sample]] = {}
    for part in PARTS:
        folder, maps = place.split(part).images, place.annotations(part)
        named = _named(found, place, part)
        samples[part] = [Sample(f"{folder}/{name}", NO_LABEL, f"{maps}/{label_map}") for name, label_map in named]
    classes, values = _classes(found, place, [sample.annotation for part in PARTS for sample in samples[part]])
    _check_values(place, values, len(classes))
    packed = found.packed(path for part in PARTS for sample in samples[part] for path in (sample.path, sample.annotation))
    return Listing(classes, samples, label_maps=values, packed=packed, below=found.base, left_out=found.left_out)


def _found(root: Path, dataset: Dataset) -> Files | None:
    splits = (dataset.train, dataset.validation)
    if any(split.annotations is None for split in splits):
        return None
    return Files.holding(
        root, lambda files: all(files.has_folder(folder or "") for split in splits for folder in (split.images, split.annotations))
    )


def _named(found: Files, place: Place, part: Part) -> list[tuple[str, str]]:
    """Images and label maps by their names, each below its own folder."""
    folder, maps, values = place.split(part).images, place.annotations(part), place.dataset.label_maps
    own, suffix = values.image_suffix or "", values.map_suffix or ""
    together = (found.root / folder).resolve() == (found.root / maps).resolve()
    if together and not (own or suffix):
        pairs = _told_apart(place, part, found.names(folder))
        images, by_key = [(from_stem(name), name) for name, _ in pairs], {from_stem(name): label_map for name, label_map in pairs}
    else:
        images, by_key = _keyed(_apart(found, folder, maps), own), dict(_keyed(_apart(found, maps, folder), suffix))
        if together:
            # The longer suffix says more: of x.jpg and x_mask.png with the suffixes "" and "_mask", the latter is no image.
            of_maps = set(by_key.values())
            images = images if len(own) > len(suffix) else [(key, name) for key, name in images if name not in of_maps]
    if images and not by_key and holds_matlab_maps(found.root / maps):
        raise UserError(f"{found.root / maps}: {MATLAB_MAPS}")
    if images and not any(key in by_key for key, _ in images):
        raise UserError(
            f"{found.root / maps}: holds no label map of the name of any image of {found.root / folder}, "
            f"such as {images[0][0]}{suffix}.png; mend {place.key(part, 'annotations')}, or get them from {place.dataset.source}"
        )
    if place.split(part).list_file is not None:
        images = _listed(found, place, part, dict(images))
    _require_own_maps(place, part, images)
    return [(name, by_key.get(key, f"{key}{suffix}.png")) for key, name in images]


def _apart(found: Files, folder: str, other: str) -> list[str]:
    """Image files of a folder, without those of the other one if it lies inside."""
    here, there = ((found.root / name) for name in (folder, other))
    ways = ((here, there), (here.resolve(), there.resolve()))
    inside = tuple(f"{below.relative_to(above).as_posix()}/" for above, below in ways if below != above and below.is_relative_to(above))
    return [name for name in found.names(folder) if not name.startswith(inside)]


def _told_apart(place: Place, part: Part, files: list[str]) -> list[tuple[str, str]]:
    """Of files in one folder, photographs `x.jpg` with their maps `x.png` or `x_mask.png`.

    Raises:
        UserError: a file is neither, so a map might be taken for an image.
    """
    lossless = {from_stem(name): name for name in files if name.lower().endswith(".png")}
    photographs = [name for name in files if not name.lower().endswith(".png")]
    if not photographs:
        photographs = [name for stem, name in lossless.items() if stem + MASK in lossless]
        lossless = {stem: name for stem, name in lossless.items() if stem.endswith(MASK)}
    _require_own_maps(place, part, [(from_stem(name), name) for name in photographs])
    pairs = [(name, lossless.get(from_stem(name)) or lossless.get(from_stem(name) + MASK)) for name in photographs]
    used = {name for pair in pairs for name in pair}
    if strangers := [name for name in files if name not in used or (name, None) in pairs]:
        raise UserError(
            f"{place.root / place.split(part).images}: {place.key(part, 'images')} and .annotations are this one folder, where images are "
            f"x.jpg with maps x.png or x{MASK}.png, and {strangers[0]} has no partner; move the maps to a folder of their own"
        )
    return [(name, label_map) for name, label_map in pairs if label_map is not None]


def _require_own_maps(place: Place, part: Part, images: list[tuple[str, str]]) -> None:
    owner: dict[str, str] = {}
    for key, name in images:
        if (first := owner.setdefault(key, name)) != name:
            raise UserError(
                f"{place.root / place.split(part).images}: {first} and {name} are images of one name, and would share a label map; "
                "remove the one that is none, or rename it"
            )


def _keyed(names: list[str], suffix: str) -> list[tuple[str, str]]:
    """Names, each after what an image and its label map share of them, however Unicode writes its letters; names that don't end in the
    suffix are left out."""
    return [(normalize("NFC", from_stem(name)).removesuffix(suffix), name) for name in names if from_stem(name).endswith(suffix)]


def _listed(found: Files, place: Place, part: Part, images: dict[str, str]) -> list[tuple[str, str]]:
    """The images that a part's list names, as `_keyed`: by their paths in the folder, or by their names alone; what follows is left."""
    path = place.split(part).list_file or ""
    if not found.has(path):
        raise UserError(f"{found.root / path}: is missing, but {place.key(part, 'list_file')} names it; get it, or mend the key")
    by_name = {Path(key).name: key for key in images}
    suffix, keys = place.dataset.label_maps.image_suffix or "", []
    for line in found.lines(path):
        name = normalize("NFC", line.split()[0].lstrip("/"))
        stem = (from_stem(name) if name.lower().endswith(SUFFIXES) else name).removesuffix(suffix)
        key = stem if stem in images else by_name.get(Path(stem).name)
        if key is None:
            folder = found.root / place.split(part).images
            raise UserError(f"{found.root / path}: names {name}, and {folder} holds no image of that name; restore it")
        keys.append((key, images[key]))
    return keys


def _classes(found: Files, place: Place, maps: list[str]) -> tuple[list[str], LabelMaps]:
    """The names of the classes, and what the values stand for."""
    values = place.dataset.label_maps
    named = values.class_names
    if named is not None:
        if not found.has(named):
            raise UserError(
                f"{found.root / named}: is missing, but {place.key('label_maps', 'class_names')} names it; write it, or mend the key"
            )
        return [line.strip() for line in found.lines(named)], values
    count = place.dataset.classes if values.values is None else len(values.values)
    # Of a set that lies one level down, the table may lie beside it.
    for name in (NAMES, f"../{NAMES}") if count is None else (NAMES,):
        if found.has(name):
            return [line.split("\t")[-1].strip() for line in found.lines(name)[1:]], values
    if count is None:
        values, count = _seen(found, place, maps)
    return [str(value) for value in values_of(values, count)], values


def _seen(found: Files, place: Place, maps: list[str]) -> tuple[LabelMaps, int]:
    """What the values of the maps stand for, and how many classes they are, by those that occur.

    Raises:
        UserError: nothing says whether 0 is a class.
    """
    looked_at = [path for path in maps[:: max(1, len(maps) // LOOKED_AT)] if found.has(path)]
    values = sorted(set[int]().union(*(read_label_map(found.root / path, found.read(path)).unique().tolist() for path in looked_at)))
    known = place.dataset.label_maps
    if "label_maps" not in place.dataset.model_fields_set:
        if IGNORE in values:
            known = LabelMaps(first_class=0, void=[IGNORE])
        elif 0 in values:
            raise UserError(
                f"{found.root}: the label maps hold the values {values[0]} to {values[-1]}, and nothing says whether 0 is a class; write "
                f"{place.key('label_maps')}: {{first_class: 0, void: []}} if it is, {{first_class: 1, void: [0]}} if it is none"
            )
    last = max((value for value in values if value not in known.void), default=known.first_class)
    return known, max(1, last - known.first_class + 1)


def _check_values(place: Place, values: LabelMaps, classes: int) -> None:
    if classes > MOST_CLASSES:
        raise UserError(f"{place.key('classes')}: {classes} classes are more than the {MOST_CLASSES} that segmentation can tell apart")
    known = values_of(values, classes)
    if len(set(known)) != classes:
        raise UserError(f"{place.key('label_maps', 'values')}: {len(set(known))} values for {classes} classes; give each class a value")
    if both := [value for value in values.void if value in known]:
        said = f"{known[0]} to {known[-1]}" if values.values is None else ", ".join(map(str, known))
        raise UserError(
            f"{place.key('label_maps', 'void')}: {both[0]} is a class too, since classes are {said}; "
            f"name other values there ([] if every pixel has a class), or mend {place.key('label_maps', 'first_class')}"
        )
