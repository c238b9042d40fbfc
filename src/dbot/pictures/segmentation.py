"""A gallery of label maps: validation images, their truth and their prediction, best, typical and worst."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from dbot.data.labelmaps.values import IGNORE
from dbot.pictures.maps import draw_map, shown_size, sized_image
from dbot.pictures.palette import Colour, colour
from dbot.pictures.sheet import Legend, Ranked, Tile, chosen, jpeg, sheet

SIDE = 256
"""Panels fit into a square of this side, in pixels."""


class Labelled(NamedTuple):
    """An image with its classes."""

    name: str
    """Of its file."""
    image: Tensor
    """uint8 (3, H, W)"""
    truth: Tensor
    """Classes from 0 on, `IGNORE` for none: integers (H, W)."""
    predicted: Tensor
    """Likewise, without `IGNORE`."""


def ranked(place: int, truth: Tensor, predicted: Tensor) -> Ranked | None:
    """What the prediction of an image is worth: its mIoU in percent, or None where no pixel has a class.

    It is taken while the whole set is evaluated, so that only a few numbers of each image are kept.

    Args:
        place: of the image in the set.
        truth: classes from 0 on, `IGNORE` for none: integers (H, W).
        predicted: likewise.
    """
    labelled = truth != IGNORE
    if not labelled.any():
        return None
    true, found = truth[labelled].long(), predicted[labelled].long()
    in_truth, in_prediction, in_both = (torch.bincount(part, minlength=IGNORE) for part in (true, found, true[true == found]))
    union = in_truth + in_prediction - in_both
    present = union > 0
    return Ranked(place, float(100 * (in_both[present] / union[present]).mean()), int((in_truth > 0).sum()))


def segmentation_gallery(
    title: str, ranks: Iterable[Ranked], labelled: Callable[[int], Labelled], classes: Sequence[str], each: int = 2
) -> bytes:
    """A JPEG of validation images, their label maps and the predicted ones, by each image's mIoU.

    Args:
        title: of the data set.
        ranks: of all images, by `ranked`, in any order, so that several processes may have made them.
        labelled: gives the image of a place, with its maps; it is asked for those that are shown, one at a time.
        classes: names.
        each: images a group.
    """
    shown = set[int]()

    def tile(one: Ranked) -> Tile:
        name, image, truth, predicted = labelled(one.place)
        shown.update(torch.cat([truth.unique(), predicted.unique()]).tolist())
        seen = Image.fromarray(sized_image(image, shown_size(image.shape, SIDE)))
        return Tile([seen, draw_map(truth, SIDE), draw_map(predicted, SIDE)], name, f"mIoU {one.score:.1f}")

    groups = {name: [tile(one) for one in members] for name, members in chosen(ranks, each).items()}
    measure = "mIoU of an image, in percent: the mean over the classes that are on it or were predicted, pixels without a class left out."
    return jpeg(sheet(f"{title}, validation. {measure}", ("image", "truth", "prediction"), groups, legend(shown, classes)))


def legend(numbers: Iterable[int], classes: Sequence[str]) -> Legend:
    """The names of classes with their colours, in the order of their numbers; `IGNORE` is the last."""
    entries: list[tuple[str, Colour | None]] = []
    for number in sorted(numbers):
        entries.append(("no class", None) if number == IGNORE else (classes[number], colour(number)))
    return entries
