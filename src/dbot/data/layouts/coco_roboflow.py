"""Layout `coco-roboflow`: Roboflow's COCO export, images and `_annotations.coco.json` together in a folder for each part."""

from pathlib import Path
from typing import Any

from dbot.base.errors import UserError
from dbot.data.layouts.annotations import by_id, read_coco, require_own_files, understood
from dbot.data.layouts.converted import Content, listing_of
from dbot.data.layouts.files import Files
from dbot.data.layouts.listing import PARTS, Listing, Part, Place
from dbot.data.layouts.shards import names_of
from dbot.params.datasets import Dataset

ANNOTATIONS = "_annotations.coco.json"


def needs(dataset: Dataset) -> str:
    return " and ".join(f"{split.images}/{ANNOTATIONS} among its images" for split in (dataset.train, dataset.validation))


def fits(root: Path, dataset: Dataset) -> bool:
    return _found(root, dataset) is not None


def read(place: Place) -> Listing:
    """Category 0 of these files stands for the whole project, and no object is of it: it is left out."""
    files = _found(place.root, place.dataset) or Files(place.root)
    contents: dict[Part, Content] = {}
    names: dict[Part, str] = {}
    for part in PARTS:
        folder = _folder(files, place.split(part).images) or place.split(part).images
        names[part] = f"{folder}/{ANNOTATIONS}"
        path = files.root / names[part]
        contents[part] = dict(read_coco(path, files.read(names[part])))
        images = by_id(contents[part]["images"], "images", path)
        require_own_files(images, path)
        with understood(path, "a COCO annotation file"):
            contents[part]["images"] = [{**image, "file_name": f"{folder}/{image['file_name']}"} for image in images.values()]
    used = {entry.get("category_id") for part in PARTS for entry in contents[part]["annotations"]}
    for part in PARTS:
        categories = by_id(contents[part]["categories"], "categories", files.root / names[part]).values()
        contents[part]["categories"] = [category for category in categories if not _stands_for_all(category, used)]
    if contents["train"]["categories"] != contents["validation"]["categories"]:
        raise UserError(f"{files.root / names['validation']}: lists other categories than {names['train']}; export both again")
    return listing_of(place, files, contents, names)


def _stands_for_all(category: dict[str, Any], used: set[Any]) -> bool:
    return category["id"] == 0 and category.get("supercategory") == "none" and 0 not in used


def _folder(files: Files, subset: str) -> str | None:
    return next((name for name in names_of(subset) if files.has(f"{name}/{ANNOTATIONS}")), None)


def _found(root: Path, dataset: Dataset) -> Files | None:
    splits = (dataset.train, dataset.validation)
    return Files.holding(root, lambda files: all(_folder(files, split.images) is not None for split in splits))
