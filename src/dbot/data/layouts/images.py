"""Layout `images`: images without labels, in folders of any depth or named by list files; pre-training needs no more.

`images` of a part names a folder below the root, a list file (`.txt`, one path a line, relative to the root), or several of
them joined by `+`. Without `train`, all images of the root are trained on, but those of a stated validation part; without
`validation`, there is none, since nothing that pre-training computes reads it.
"""

import os
from pathlib import Path

from dbot.base.errors import UserError
from dbot.data.folders import walk
from dbot.data.layouts.files import from_stem
from dbot.data.layouts.labelmaps import MASK
from dbot.data.layouts.listing import NO_LABEL, PARTS, Listing, Part, Place, Sample
from dbot.params.datasets import Dataset

LIST = ".txt"
"""The ending of list files."""
JOIN = "+"
"""What stands between several folders or lists."""
WHOLE = "."
"""The root itself."""
MAPS = 4
"""One in so many images that looks like a label map of another is no accident."""


def needs(dataset: Dataset) -> str:
    stated = [getattr(dataset, part).images for part in PARTS if part in dataset.model_fields_set]
    return f"folders of images, or lists of their paths: {' and '.join(stated)}" if stated else "images, in it or below it"


def fits(root: Path, dataset: Dataset) -> bool:
    stated = [getattr(dataset, part).images for part in PARTS if part in dataset.model_fields_set]
    return all((root / name).exists() for images in stated for name in _several(root, images))


def read(place: Place) -> Listing:
    stated = [part for part in PARTS if part in place.dataset.model_fields_set]
    left_out: list[str] = []
    names: dict[Part, list[str]] = {"train": [], "validation": []}
    for part in stated:
        names[part] = _names(place, part, place.split(part).images, left_out)
    held_out = set(names["validation"])
    if "train" not in stated:
        names["train"] = [name for name in _names(place, "train", WHOLE, left_out) if name not in held_out]
    elif both := [name for name in names["train"] if name in held_out]:
        raise UserError(
            f"{place.root / both[0]}: is an image of both parts ({len(both)} are); mend {place.key('train', 'images')} or "
            f"{place.key('validation', 'images')}, or leave the first out to train on all but the validation images"
        )
    if len(pairs := _beside_their_maps(names["train"])) * MAPS >= len(names["train"]) > 0:
        photograph, label_map = pairs[0]
        left_out.append(
            f"warning: {place.root}: {len(pairs)} of {len(names['train'])} images look like label maps, as {label_map} of {photograph}; "
            f"they are trained on as photographs: move them away, or write {place.key('layouts')}: [labelmaps] with `images` "
            "and `annotations` of each part"
        )
    samples = {part: [Sample(name, NO_LABEL) for name in names[part]] for part in PARTS}
    return Listing([], samples, parts=tuple(part for part in PARTS if part == "train" or part in stated), left_out=left_out)


def _beside_their_maps(names: list[str]) -> list[tuple[str, str]]:
    """Images x.jpg with the x.png beside them, or any with x_mask.png."""
    lossless = {from_stem(name): name for name in names if name.lower().endswith(".png")}
    pairs = [(name, lossless.get(stem, name)) for name in names for stem in (from_stem(name), f"{from_stem(name)}{MASK}")]
    return [(name, label_map) for name, label_map in pairs if label_map != name]


def _several(root: Path, images: str) -> list[str]:
    """The folders and lists that are named; one whose own name has a `+` in it is itself."""
    return [images] if (root / images).exists() else [name.strip() for name in images.split(JOIN)]


def _names(place: Place, part: Part, images: str, left_out: list[str]) -> list[str]:
    """The images of a part, each once, relative to the root."""
    found: list[str] = []
    read: set[str] = set()
    for name in _several(place.root, images):
        below = os.path.normpath(name)
        path = place.root / below
        if _leads_out(below):
            raise UserError(f"{place.key(part, 'images')} names {name}, which is not below {place.root}; link it there, or mend root")
        if path.is_file() and name.endswith(LIST):
            found += _listed(place, path)
        elif path.is_dir():
            walked = walk(path, read)
            prefix = "" if below == WHOLE else f"{below}/"
            found += [prefix + image for image in walked.images]
            if said := str(walked.left_out):
                left_out.append(f"{path}: left out: {said}")
        else:
            raise UserError(f"{path}: is neither a folder nor a list ({LIST}), but {place.key(part, 'images')} names it; mend the key")
    once = list(dict.fromkeys(found))
    if len(once) < len(found):
        left_out.append(f"{place.root}: left out: {len(found) - len(once)} images of {part} that are named again")
    return once


def _listed(place: Place, path: Path) -> list[str]:
    """The paths in a list file, in its order; those from `/` on must lie below the root."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UserError(f"{path}: can't be read ({reason}); write a path of an image in each line") from None
    names = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name = os.path.normpath(line.strip())
        if name.startswith("/"):
            name = os.path.relpath(name, place.root.absolute())
        if _leads_out(name):
            raise UserError(f"{path}:{number}: {line.strip()} does not lie below {place.root}; mend the line, or {place.key('root')}")
        names.append(name)
    return names


def _leads_out(name: str) -> bool:
    """Whether a tidied path does not lie below where it starts."""
    return name.startswith("/") or name.split("/")[0] == ".."
