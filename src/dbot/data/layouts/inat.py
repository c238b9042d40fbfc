"""Layout `inat`: iNaturalist's competition sets, a JSON file for each part that names images and categories."""

from pathlib import Path

from dbot.base.errors import UserError
from dbot.data.layouts.annotations import by_id, read_json, require_own_files, understood, whole
from dbot.data.layouts.listing import PARTS, Listing, Part, Place, Sample
from dbot.params.datasets import Dataset


def needs(dataset: Dataset) -> str:
    return f"{dataset.train.annotations} and {dataset.validation.annotations} beside the folders of images that they name"


def fits(root: Path, dataset: Dataset) -> bool:
    splits = (dataset.train, dataset.validation)
    return all(split.annotations is not None and (root / split.annotations).is_file() for split in splits)


def read(place: Place) -> Listing:
    """Images in the order of their ids; classes in the order of their category ids."""
    classes: dict[Part, dict[int, str]] = {}
    samples: dict[Part, list[Sample]] = {}
    for part in PARTS:
        path = place.root / place.annotations(part)
        content = read_json(path, ("images", "annotations", "categories"))
        images = by_id(content["images"], "images", path)
        require_own_files(images, path)
        with understood(path, "an annotation file of iNaturalist"):
            classes[part] = {number: str(entry["name"]) for number, entry in by_id(content["categories"], "categories", path).items()}
            position = {number: label for label, number in enumerate(classes[part])}
            label_of = {whole(entry["image_id"]): position[whole(entry["category_id"])] for entry in content["annotations"]}
            samples[part] = [Sample(str(image["file_name"]), label_of[number]) for number, image in images.items()]
    if classes["train"] != classes["validation"]:
        raise UserError(
            f"{place.root / place.annotations('validation')}: lists other categories than {place.annotations('train')}; restore both"
        )
    return Listing(list(classes["train"].values()), samples)
