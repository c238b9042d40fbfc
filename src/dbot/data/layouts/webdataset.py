"""Layout `webdataset`: tar shards in which the files of an image share a key, `key.jpg` with `key.cls` or `key.json`.

`imagenet-train-000.tar` or `train/000.tar`: the part is told by `images` of the declaration.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dbot.base.errors import UserError
from dbot.data.folders import SUFFIXES
from dbot.data.layouts.files import Files, members
from dbot.data.layouts.listing import PARTS, Listing, Part, Place, Read, Sample
from dbot.data.layouts.shards import have_both, shard_names, shards, shards_of
from dbot.params.datasets import Dataset

LABELS = ("label", "cls", "class", "class_id")
"""Keys of a JSON file that may hold the class."""
NAMES = ("classnames.txt", "classes.txt")
"""Files beside the shards, or above, with the name of a class in each line."""


def needs(dataset: Dataset) -> str:
    return f"tar shards of {dataset.train.images} and {dataset.validation.images}, in which key.jpg lies with key.cls or key.json"


def fits(root: Path, dataset: Dataset) -> bool:
    splits = (dataset.train.images, dataset.validation.images)
    if not have_both(root, *splits, ".tar"):
        return False
    first = shards_of(shard_names(root, ".tar"), splits[0])[0]
    return any(ending in ("cls", "json") for _, ending in map(_keyed, members(root / first)))


def read(place: Place) -> Listing:
    """Images get the paths that they will have in the prepared copy: the shard's, then their own."""
    found: dict[Part, list[tuple[str, Any]]] = {}
    packed: dict[str, Read] = {}
    for part in PARTS:
        found[part] = []
        for shard in shards(place, part, ".tar"):
            for name, label, image in _images(place.root / shard):
                path = f"{shard.removesuffix('.tar')}/{name}"
                found[part].append((path, label))
                packed[path] = image
    labels = {label for images in found.values() for _, label in images}
    label_of, classes = _classes(labels, place)
    samples: dict[Part, list[Sample]] = {part: [Sample(path, label_of[label]) for path, label in found[part]] for part in PARTS}
    return Listing(classes, samples, packed=packed)


def _keyed(name: str) -> tuple[str, str]:
    """Key and ending of a file's name: what stands before and after the first dot of its last part."""
    folder, slash, file = name.rpartition("/")
    key, _, ending = file.partition(".")
    return f"{folder}{slash}{key}", ending.lower()


def _images(path: Path) -> Iterator[tuple[str, Any, Read]]:
    """Of each image of a shard its name, its class and how to get its bytes, in the shard's order."""
    together: dict[str, dict[str, tuple[str, Read]]] = {}
    for name, file in members(path).items():
        key, ending = _keyed(name)
        together.setdefault(key, {})[ending] = (name, file)
    for key, files in together.items():
        image = next((files[ending] for ending in files if f".{ending}" in SUFFIXES), None)
        if image is not None:
            yield image[0], _label(path, key, {ending: file for ending, (_, file) in files.items()}), image[1]


def _label(path: Path, key: str, files: dict[str, Read]) -> Any:
    try:
        if "cls" in files:
            return int(files["cls"]())
        described = json.loads(files["json"]())
        return next(described[name] for name in LABELS if described.get(name) is not None)
    except (KeyError, ValueError, TypeError, AttributeError, StopIteration):
        raise UserError(
            f"{path}: {key} has no class, neither a number in .cls nor {' or '.join(LABELS)} in .json; mend the shard"
        ) from None


def _classes(labels: set[Any], place: Place) -> tuple[dict[Any, int], list[str]]:
    if not all(isinstance(label, int) for label in labels):
        classes = sorted(map(str, labels))
        return {label: classes.index(str(label)) for label in labels}, classes
    files = Files(place.root)
    named = next((files.lines(name) for name in NAMES if files.has(name)), None)
    count = max(labels, default=-1) + 1 if named is None else len(named)
    if not all(0 <= label < count for label in labels):
        raise UserError(f"{place.root}: classes of the shards go from {min(labels)} to {max(labels)}, not from 0 to {count - 1}; mend them")
    return {label: label for label in labels}, named or [str(number) for number in range(count)]
