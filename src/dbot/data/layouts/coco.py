"""Layout `coco`: a folder of images and a JSON file of objects for each part (COCO 2017), unpacked or in the zips of the download."""

from pathlib import Path
from typing import Any

from dbot.base.errors import UserError
from dbot.data.layouts.annotations import by_id, read_coco, require_own_files, require_some_images, understood
from dbot.data.layouts.files import Files
from dbot.data.layouts.listing import NO_LABEL, PARTS, Listing, Part, Place, Sample
from dbot.params.datasets import Dataset


def needs(dataset: Dataset) -> str:
    splits = (dataset.train, dataset.validation)
    if any(split.annotations is None for split in splits):
        return "train2017/, val2017/ and annotations/instances_*2017.json; or, otherwise called, `images` and `annotations` of each part"
    return " and ".join(f"{split.images}/ with {split.annotations}" for split in splits)


def fits(root: Path, dataset: Dataset) -> bool:
    return _found(root, dataset) is not None


def read(place: Place) -> Listing:
    """Every image, those without objects too, in the order of their ids; classes in the order of their category ids.

    What the annotations say, and whether the images are there, `dbot.data.objects.audit` looks at.
    """
    found = _found(place.root, place.dataset) or Files(place.root)
    classes: dict[Part, dict[int, str]] = {}
    samples: dict[Part, list[Sample]] = {}
    files = {part: place.annotations(part) for part in PARTS}
    for part in PARTS:
        path, folder = found.root / files[part], place.split(part).images
        prefix = "" if folder == "." else f"{folder}/"
        content = read_coco(path, found.read(files[part]))
        images = by_id(content["images"], "images", path)
        require_own_files(images, path)
        require_some_images(images.values(), found, folder, path, place.key(part, "images"))
        categories = by_id(content["categories"], "categories", path)
        with understood(path, "a COCO annotation file"):
            classes[part] = {number: str(category["name"]) for number, category in categories.items()}
            samples[part] = [
                Sample(f"{prefix}{image['file_name']}", NO_LABEL, str(number), stated_size(image)) for number, image in images.items()
            ]
    if classes["train"] != classes["validation"]:
        raise UserError(f"{found.root / files['validation']}: lists other categories than {found.root / files['train']}; restore both")
    packed = found.packed([*files.values(), *(sample.path for part in PARTS for sample in samples[part])])
    return Listing(list(classes["train"].values()), samples, annotation_files=files, packed=packed, below=found.base)


def _found(root: Path, dataset: Dataset) -> Files | None:
    splits = (dataset.train, dataset.validation)
    if any(split.annotations is None for split in splits):
        return None
    return Files.holding(root, lambda files: all(files.has_folder(split.images) and files.has(split.annotations or "") for split in splits))


def stated_size(image: dict[str, Any]) -> tuple[int, int] | None:
    """Height and width in pixels that COCO's entry of an image states, if it does."""
    height, width = image.get("height"), image.get("width")
    return (height, width) if isinstance(height, int) and isinstance(width, int) and min(height, width) > 0 else None
