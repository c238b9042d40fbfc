"""Layout `coco`: a folder of images and a JSON file of objects for each part (COCO 2017)."""

import os
from pathlib import Path

from dbot.data.layouts.annotations import by_id, read_json, understood
from dbot.data.layouts.listing import NO_LABEL, PARTS, Listing, Part, Place, Sample
from dbot.errors import UserError
from dbot.params.datasets import Dataset


def needs(dataset: Dataset) -> str:
    splits = (dataset.train, dataset.validation)
    return " and ".join(f"{split.images}/ with {split.annotations}" for split in splits)


def fits(root: Path, dataset: Dataset) -> bool:
    splits = (dataset.train, dataset.validation)
    return all(
        (root / split.images).is_dir() and split.annotations is not None and (root / split.annotations).is_file() for split in splits
    )


def read(place: Place) -> Listing:
    """Every image, those without objects too, in the order of their ids; classes in the order of their category ids."""
    classes: dict[Part, dict[int, str]] = {}
    samples: dict[Part, list[Sample]] = {}
    files = {part: place.annotations(part) for part in PARTS}
    for part in PARTS:
        path, folder = place.root / files[part], place.split(part).images
        content = read_json(path, ("images", "annotations", "categories"))
        images = by_id(content["images"], "images", path)
        categories = by_id(content["categories"], "categories", path)
        with understood(path, "a COCO annotation file"):
            classes[part] = {number: str(category["name"]) for number, category in categories.items()}
            samples[part] = [Sample(f"{folder}/{image['file_name']}", NO_LABEL, str(number)) for number, image in images.items()]
            for entry in content["annotations"]:
                if entry["image_id"] not in images or entry["category_id"] not in categories:
                    raise UserError(
                        f"{path}: annotation {entry.get('id')} names an image or a category that the file doesn't list; restore the file"
                    )
        there = {entry.name for entry in os.scandir(place.root / folder)}
        missing = [image["file_name"] for image in images.values() if "/" not in image["file_name"] and image["file_name"] not in there]
        if missing:
            more = f", as are {len(missing) - 1} others that {path.name} names" if missing[1:] else f", but {path.name} names it"
            raise UserError(f"{place.root / folder / missing[0]}: is missing{more}; get it from {place.dataset.source}")
    if classes["train"] != classes["validation"]:
        raise UserError(f"{place.root / files['validation']}: lists other categories than {place.root / files['train']}; restore both")
    return Listing(list(classes["train"].values()), samples, annotation_files=files)
