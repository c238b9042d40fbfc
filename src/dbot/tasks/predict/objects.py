"""Objects on the images of a folder, as a COCO file and as pictures."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from dbot.data.objects.loading import Origin
from dbot.data.objects.masks import area
from dbot.data.objects.results import Result, coco_results
from dbot.data.objects.transforms import inference_view
from dbot.models.detector.build import Detector
from dbot.params.dense import Detect
from dbot.params.scales import Normalisation
from dbot.pictures.detection import found_objects, labels
from dbot.pictures.objects import draw_objects
from dbot.pictures.sheet import jpeg
from dbot.tasks.detect import normalised
from dbot.tasks.predict.folder import SIDE, ImageFolder, placed, write
from dbot.train.precision import autocast_type

FILE = "detections.json"


@torch.no_grad()
def predict_objects(
    detector: Detector,
    recipe: Detect,
    classes: Sequence[str],
    category_ids: Sequence[int],
    images: ImageFolder,
    statistics: Normalisation,
    device: torch.device,
    score: float,
    output: Path,
) -> int:
    """Write `detections.json` and `pictures/`; returns the number of objects that were found.

    The file is a COCO file: `images` (numbered from 1 on), `categories`, and as `annotations` all
    that was found, each with its `score`. Tools that read COCO annotations load it as it is, and
    `COCO.loadRes` takes its `annotations`. A detector without mask heads finds boxes alone: no `segmentation`.
    Coordinates are those of the upright image.

    Args:
        detector: in eval mode, on the device.
        recipe: its recipe, which says at what size images are looked at and what is kept.
        classes: names.
        category_ids: those of the classes, in their order.
        images: what to look at.
        statistics: of the pixels.
        device: where the detector is.
        score: from which on what was found is drawn.
        output: folder to write into.

    Raises:
        UserError: no image can be decoded.
    """
    autocast = autocast_type(recipe.precision)
    listed, annotations = list[dict[str, Any]](), list[Result]()
    for number, (name, image) in enumerate(images, start=1):
        height, width = image.shape[1:]
        view = inference_view(image, recipe.inference)
        with torch.autocast(device.type, dtype=autocast, enabled=autocast is not None):
            (found,) = detector([normalised(view.to(device), statistics)])
        results = coco_results(found, Origin(number, height, width, *view.shape[1:]), category_ids, recipe.inference.mask)
        listed.append({"id": number, "file_name": name, "height": height, "width": width})
        annotations += [_annotation(result, len(annotations) + place) for place, result in enumerate(results, start=1)]
        drawn = found_objects([result for result in results if result["score"] >= score], labels(category_ids))
        write(output / "pictures" / placed(name, ".jpg"), jpeg(draw_objects(image, drawn, classes, SIDE)))
    categories = [{"id": number, "name": name} for number, name in zip(category_ids, classes, strict=True)]
    content = {"images": listed, "categories": categories, "annotations": annotations}
    write(output / FILE, (json.dumps(content, separators=(",", ":"), allow_nan=False) + "\n").encode())
    return len(annotations)


def _annotation(result: Result, number: int) -> Result:
    """A result with what an annotation has besides."""
    mask, (_, _, width, height) = result.get("segmentation"), result["bbox"]
    covered = round(width * height, 3) if mask is None else area(mask["counts"].encode("ascii"), *mask["size"])
    return {"id": number, **result, "area": covered, "iscrowd": 0}
