"""A gallery of detections: what is on validation images beside what was found, best, typical and worst."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from pycocotools.mask import iou

from dbot.data.images import read_image
from dbot.data.manifest import Manifest
from dbot.data.objects.annotations import Objects, read_objects
from dbot.data.objects.masks import pixels
from dbot.data.objects.results import Result
from dbot.pictures.objects import Seen, draw_objects
from dbot.pictures.segmentation import legend
from dbot.pictures.sheet import Ranked, Tile, chosen, jpeg, sheet

SIDE = 320
"""Panels fit into a square of this side, in pixels."""
OVERLAP = 0.5
"""IoU from which on a found box is that of an object."""


def detection_gallery(
    manifest: Manifest, results: Sequence[Result], category_ids: Sequence[int], score: float = 0.3, each: int = 2
) -> bytes:
    """A JPEG of validation images with their objects and with what was found, by the F1 of each image's boxes.

    Args:
        manifest: of the set.
        results: COCO results of its validation images, as `evaluate_detection` gives them.
        category_ids: those of the classes, in their order.
        score: what was found with a lower one is neither counted nor drawn.
        each: images a group.

    Images with neither objects nor findings are not shown: they have no F1.

    Raises:
        UserError: the annotations or a shown image can't be read.
    """
    objects, paths = read_objects(manifest, "validation"), manifest.samples("validation").paths
    label_of = labels(category_ids)
    by_image: dict[int, list[Result]] = {}
    for result in results:
        if result["score"] >= score:
            by_image.setdefault(int(result["image_id"]), []).append(result)

    shown = set[int]()

    def tile(one: Ranked) -> Tile:
        path = manifest.root / paths[one.place]
        image, found = read_image(path, manifest.upright), by_image.get(int(objects.image_ids[one.place]), [])
        pair = (true_objects(objects, one.place), found_objects(found, label_of))
        shown.update(seen.label - 1 for part in pair for seen in part)
        return Tile([draw_objects(image, part, manifest.classes, SIDE) for part in pair], path.name, f"F1 {one.score:.2f}")

    groups = {name: [tile(one) for one in members] for name, members in chosen(ranked(objects, by_image, label_of), each).items()}
    title = (
        f"{manifest.title}, validation. F1 of an image: of its boxes with a score of {score:g} or more, "
        f"those are right that overlap an object of their class with an IoU of {OVERLAP:g} or more."
    )
    # Where objects crowd not each has its label.
    entries = legend(shown, manifest.classes) if len(manifest.classes) > 1 else ()
    return jpeg(sheet(title, ("truth", "prediction"), groups, entries))


def ranked(objects: Objects, by_image: Mapping[int, Sequence[Result]], label_of: Mapping[int, int]) -> list[Ranked]:
    """What was found on each image is worth: the F1 of its boxes. Images that have none are left out.

    Args:
        objects: the truth.
        by_image: COCO results by image id.
        label_of: labels by category id.
    """
    ranks = []
    for place, image_id in enumerate(objects.image_ids.tolist()):
        truth = true_objects(objects, place, masks=False)
        found = found_objects(by_image.get(image_id, []), label_of, masks=False)
        value = f1(truth, found)
        if value is not None:
            ranks.append(Ranked(place, value, len(truth) + len(found)))
    return ranks


def labels(category_ids: Sequence[int]) -> dict[int, int]:
    """Labels, from 1 on, by category id."""
    return {number: label for label, number in enumerate(category_ids, start=1)}


def true_objects(objects: Objects, place: int, masks: bool = True) -> list[Seen]:
    """The objects of an image, crowds included; masks are decoded if asked for and there."""
    members = range(objects.starts[place], objects.starts[place + 1])
    height, width = objects.sizes[place].tolist()
    found = []
    for member in members:
        mask = None
        if masks and objects.has_masks:
            runs = objects.runs[objects.run_starts[member] : objects.run_starts[member + 1]]
            mask = pixels([runs], height, width)[0] > 0
        left, top, right, bottom = objects.boxes[member].tolist()
        found.append(Seen(int(objects.labels[member]), (left, top, right, bottom), mask, crowd=bool(objects.crowd[member])))
    return found


def found_objects(results: Sequence[Result], label_of: Mapping[int, int], masks: bool = True) -> list[Seen]:
    """COCO results of one image as objects to draw.

    Args:
        results: those of the image.
        label_of: labels by category id.
        masks: whether masks are decoded, where there are any.
    """
    found = []
    for result in results:
        left, top, width, height = result["bbox"]
        area = result.get("segmentation") if masks else None
        mask = None if area is None else pixels([area["counts"].encode("ascii")], *area["size"])[0] > 0
        found.append(Seen(label_of[result["category_id"]], (left, top, left + width, top + height), mask, result["score"]))
    return found


def f1(truth: Sequence[Seen], found: Sequence[Seen]) -> float | None:
    """Harmonic mean of precision and recall of an image's boxes; None where nothing is, nothing was found, or only within crowds.

    As COCO counts: the best found box takes its object first, each object is found once, and a box
    of which half or more lies in a crowd of its class counts neither way.
    """
    objects = sum(not one.crowd for one in truth)
    taken, right, wrong = set[int](), 0, 0
    ordered = sorted(found, key=lambda one: -(one.score or 0.0))
    overlaps = iou(_xywh(ordered), _xywh(truth), [int(one.crowd) for one in truth]) if truth and ordered else np.zeros((len(ordered), 0))
    for one, overlap in zip(ordered, overlaps, strict=True):
        near = [number for number, other in enumerate(truth) if other.label == one.label and overlap[number] >= OVERLAP]
        free = [number for number in near if not truth[number].crowd and number not in taken]
        if free:
            taken.add(max(free, key=lambda number: overlap[number]))
            right += 1
        elif not any(truth[number].crowd for number in near):
            wrong += 1
    total = right + wrong + objects
    return 2 * right / total if total else None


def _xywh(boxes: Sequence[Seen]) -> npt.NDArray[np.float64]:
    return np.array([(left, top, right - left, bottom - top) for left, top, right, bottom in (one.box for one in boxes)], dtype=np.float64)
