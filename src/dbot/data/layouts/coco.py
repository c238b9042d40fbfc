"""Layout `coco`: a folder of images and a JSON file of objects for each part (COCO 2017)."""

from pathlib import Path
from typing import Any

from dbot.base.errors import UserError
from dbot.data.layouts.annotations import by_id, read_coco, require_own_files, understood
from dbot.data.layouts.listing import NO_LABEL, PARTS, Listing, Part, Place, Sample
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
    """Every image, those without objects too, in the order of their ids; classes in the order of their category ids.

    What the annotations say, and whether the images are there, `dbot.data.objects.audit` looks at.
    """
    classes: dict[Part, dict[int, str]] = {}
    samples: dict[Part, list[Sample]] = {}
    files = {part: place.annotations(part) for part in PARTS}
    for part in PARTS:
        path, folder = place.root / files[part], place.split(part).images
        content = read_coco(path)
        images = by_id(content["images"], "images", path)
        require_own_files(images, path)
        categories = by_id(content["categories"], "categories", path)
        with understood(path, "a COCO annotation file"):
            classes[part] = {number: str(category["name"]) for number, category in categories.items()}
            samples[part] = [
                Sample(f"{folder}/{image['file_name']}", NO_LABEL, str(number), _stated_size(image)) for number, image in images.items()
            ]
    if classes["train"] != classes["validation"]:
        raise UserError(f"{place.root / files['validation']}: lists other categories than {place.root / files['train']}; restore both")
    return Listing(list(classes["train"].values()), samples, annotation_files=files)


def _stated_size(image: dict[str, Any]) -> tuple[int, int] | None:
    height, width = image.get("height"), image.get("width")
    return (height, width) if isinstance(height, int) and isinstance(width, int) and min(height, width) > 0 else None
