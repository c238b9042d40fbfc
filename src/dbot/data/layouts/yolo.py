"""Layout `yolo`: `data.yaml`, folders of images, and beside each folder `images` one `labels` with a text file for each image.

A line is a class and either the corners of a polygon or a box (centre, width, height), in shares of the image's sides.
"""

from pathlib import Path
from typing import Any

import yaml

from dbot.base.errors import UserError
from dbot.data.folders import SUFFIXES
from dbot.data.layouts.converted import Content, content_of, listing_of, size_of
from dbot.data.layouts.files import Files, from_stem
from dbot.data.layouts.listing import PARTS, Listing, Part, Place
from dbot.data.layouts.shards import names_of
from dbot.params.datasets import Dataset

DESCRIPTIONS = ("data.yaml", "dataset.yaml", "data.yml")
BOX = 4
"""Numbers that follow the class of a box; a polygon has more."""


def needs(dataset: Dataset) -> str:
    return f"{DESCRIPTIONS[0]} with `names`, `train` and `val`, and folders images/ and labels/"


def fits(root: Path, dataset: Dataset) -> bool:
    return _found(root) is not None


def read(place: Place) -> Listing:
    """The parts are those that data.yaml names, images in the order of their names; one without a text file has no object."""
    files = _found(place.root) or Files(place.root)
    path, described = _described(files)
    classes = _classes(path, described)
    contents: dict[Part, Content] = {}
    for part in PARTS:
        images = _images(files, described, part, path)
        sizes = {image: size_of(files, image, place.dataset) for image in images}
        boxes = "kpt_shape" in described
        objects = [[] if (size := sizes[image]) is None else _objects(files, image, size, len(classes), boxes) for image in images]
        contents[part] = content_of(list(sizes.items()), objects, classes)
    return listing_of(place, files, contents, {part: f"annotations/{part}.json" for part in PARTS})


def _found(root: Path) -> Files | None:
    return Files.holding(root, lambda files: any(files.has(name) for name in DESCRIPTIONS))


def _described(files: Files) -> tuple[Path, dict[str, Any]]:
    name = next(name for name in DESCRIPTIONS if files.has(name))
    try:
        content = yaml.safe_load(files.read(name))
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{files.root / name}: is not YAML ({' '.join(str(error).split())}); restore it") from None
    return files.root / name, content if isinstance(content, dict) else {}


def _classes(path: Path, described: dict[str, Any]) -> list[str]:
    names = described.get("names")
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise UserError(f"{path}: has no `names`, the classes from 0 on; write them there")
    return [str(name) for name in names]


def _images(files: Files, described: dict[str, Any], part: Part, path: Path) -> list[str]:
    """The images of a part. What data.yaml says of folders is taken from its own place, since exports are moved about."""
    key = "train" if part == "train" else next((name for name in names_of("val") if name in described), "val")
    given = described.get(key)
    given = [given] if isinstance(given, str) else given or []
    found: list[str] = []
    for value in [str(value).replace("\\", "/") for value in given]:
        while value.startswith(("./", "../")):
            value = value.partition("/")[2]
        if value.endswith(".txt") and files.has(value):
            found += [line.strip().removeprefix("./") for line in files.lines(value)]
        elif files.has_folder(value):
            found += [f"{value}/{name}" for name in files.names(value)]
    if not found:
        folders = [folder for name in names_of(key) for folder in (f"{name}/images", f"images/{name}") if files.has_folder(folder)]
        found = [f"{folders[0]}/{name}" for name in files.names(folders[0])] if folders else []
    if not found:
        raise UserError(f"{path}: its {key} is {described.get(key)!r}, where no image lies; mend it, from the folder of {path.name} on")
    return sorted(image for image in found if image.lower().endswith(SUFFIXES))


def _labels_of(image: str) -> str:
    before, _, after = f"/{image}".rpartition("/images/")
    return f"{before}/labels/{from_stem(after)}.txt".lstrip("/")


def _objects(files: Files, image: str, size: tuple[int, int], classes: int, boxes: bool) -> list[dict[str, Any]]:
    """The objects of an image; where key points follow the ``boxes``, those are passed over."""
    path, found = _labels_of(image), []
    if not files.has(path):
        return []
    for number, line in enumerate(files.lines(path), start=1):
        try:
            label, *shares = [float(cell) for cell in line.split()[: 1 + BOX if boxes else None]]
            if not (label.is_integer() and 0 <= label < classes) or (len(shares) != BOX and (len(shares) < 6 or len(shares) % 2)):
                raise ValueError
        except ValueError:
            raise UserError(
                f"{files.root / path}, line {number}: is not a class below {classes} and a box or a polygon ({line[:60]!r}); mend it"
            ) from None
        found.append({"category_id": int(label) + 1, "origin": f"{path}, line {number}", **_shape(shares, *size)})
    return found


def _shape(shares: list[float], height: int, width: int) -> dict[str, Any]:
    if len(shares) == BOX:
        x, y, wide, high = shares
        return {"bbox": [(x - wide / 2) * width, (y - high / 2) * height, wide * width, high * height]}
    xs, ys = [x * width for x in shares[::2]], [y * height for y in shares[1::2]]
    polygon = [side for corner in zip(xs, ys, strict=True) for side in corner]
    return {"bbox": [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)], "segmentation": [polygon]}
