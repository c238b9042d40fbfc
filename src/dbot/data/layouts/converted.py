"""Objects that came in another form, in the structure of a COCO file: one audit and one reader serve them all.

The files hold ids from 1 on; `file_name` is an image's path below the root. An annotation's `origin` says where it stood, for messages.
"""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from dbot.base.errors import UserError
from dbot.data.images import image_header
from dbot.data.layouts.coco import stated_size
from dbot.data.layouts.files import Files
from dbot.data.layouts.listing import NO_LABEL, PARTS, Listing, Part, Place, Read, Sample
from dbot.params.datasets import Dataset

Content = dict[str, list[dict[str, Any]]]
"""Of a COCO file: `images`, `annotations`, `categories`."""


def content_of(
    images: Sequence[tuple[str, tuple[int, int] | None]], objects: Sequence[Sequence[dict[str, Any]]], classes: Sequence[str]
) -> Content:
    """A COCO file's content.

    Args:
        images: of each its path, and its height and width in pixels where they are known.
        objects: of each image its annotations, without ids; `category_id` counts from 1.
        classes: names, in the order of their numbers.
    """
    sized = [({} if size is None else {"height": size[0], "width": size[1]}) for _, size in images]
    found: Content = {
        "images": [
            {"id": number, "file_name": path, **size} for number, ((path, _), size) in enumerate(zip(images, sized, strict=True), start=1)
        ],
        "annotations": [],
        "categories": [{"id": number, "name": name} for number, name in enumerate(classes, start=1)],
    }
    for image, of_image in enumerate(objects, start=1):
        for entry in of_image:
            found["annotations"].append({"id": len(found["annotations"]) + 1, "image_id": image, "iscrowd": 0, **entry})
    return found


def size_of(files: Files, path: str, dataset: Dataset) -> tuple[int, int] | None:
    """Height and width in pixels of an image whose objects say neither; None where it can't be read, which the audit says."""
    try:
        header = image_header(files.read(path), files.root / path)
    except UserError:
        return None
    return header.upright if dataset.annotated == "upright" else header.stored


def listing_of(place: Place, files: Files, contents: dict[Part, Content], names: dict[Part, str]) -> Listing:
    """What a reader of objects returns.

    Args:
        place: what params.yaml says.
        files: where the images lie.
        contents: by part, what the COCO file shall hold.
        names: by part, its path in the prepared copy.

    Raises:
        UserError: the objects have boxes alone, and that isn't what params.yaml says.
    """
    entries = [entry for part in PARTS for entry in contents[part]["annotations"]]
    if entries and not place.dataset.boxes_only and not any(entry.get("segmentation") for entry in entries):
        raise UserError(
            f"{files.root}: its {len(entries)} objects are boxes without masks; write {place.key('masks')}: none to train a detector of "
            "boxes alone, or get the set with polygons or masks for one that learns them"
        )
    samples: dict[Part, list[Sample]] = {
        part: [Sample(str(image["file_name"]), NO_LABEL, str(image["id"]), stated_size(image)) for image in contents[part]["images"]]
        for part in PARTS
    }
    packed: dict[str, Read] = files.packed(sample.path for part in PARTS for sample in samples[part])
    packed.update({names[part]: partial(_written, contents[part]) for part in PARTS})
    classes = [str(category["name"]) for category in contents["train"]["categories"]]
    return Listing(classes, samples, annotation_files=names, packed=packed, below=files.base, left_out=files.left_out)


def _written(content: Content) -> bytes:
    return (json.dumps(content, ensure_ascii=False) + "\n").encode()
