"""What is sound in form and odd in meaning: found in the counts of a data set, before any GPU hour is spent on it.

An oddity is refused where the numbers would be wrong, and said loudly where somebody may have meant it. `check.meant` of the
data set takes either back.
"""

from collections.abc import Iterator
from typing import NamedTuple

from dbot.base.errors import UserError
from dbot.data.census import Census
from dbot.data.layouts.listing import PARTS, Part
from dbot.data.objects.audit import Boxes
from dbot.params.datasets import Dataset, Oddity

NAMED = 5
"""How many classes a line names."""
LEAK = 0.05
"""Share of the validation images from which on their being trained on is no accident; ImageNet and CIFAR share some, too. A set so small
that this is no whole image measures nothing anyway."""
MOSTLY = 0.5
"""Share of the pixels, of the boxes, or of an image's sides."""
FEW = 0.05
"""Share of the boxes that published sets have at odds with masks or borders."""
MANY = 10
"""Boxes that don't all lie in one place by chance."""


class Odd(NamedTuple):
    """Something odd."""

    kind: Oddity
    wrong: bool
    """Whether numbers would be wrong; else it is only said."""
    text: str
    """What, and what may be the cause."""


def settle(name: str, dataset: Dataset, census: Census, whole: bool, validation_images: int) -> None:
    """Refuse or say what is odd about a data set.

    What this project draws itself is refused for nothing: nobody could mend it.

    Args:
        name: of the data set in params.yaml.
        dataset: its declaration.
        census: its counts.
        whole: whether everything was counted, not a sample.
        validation_images: how many there are.

    Raises:
        UserError: numbers would be wrong; names the key that says they are not.
    """
    found = [odd for odd in _oddities(census, dataset.limit is None, whole, validation_images) if odd.kind not in dataset.check.meant]
    said = [f"datasets.{name}: {odd.text}; if this is meant, add {odd.kind} to datasets.{name}.check.meant" for odd in found]
    wrong = [line for odd, line in zip(found, said, strict=True) if odd.wrong and dataset.embedded is None]
    for line in said:
        if line not in wrong:
            print(f"warning: {line}", flush=True)
    if wrong:
        raise UserError(*wrong)


def _oddities(census: Census, unlimited: bool, whole: bool, validation_images: int) -> Iterator[Odd]:
    if census.has_classes:
        yield from _of_classes(census, unlimited, whole)
    if census.counted == "pixels":
        for part in PARTS:
            if (share := census.void_share(part)) > MOSTLY:
                yield Odd("mostly-void", True, f"{share:.0%} of the pixels of {part} have no class: does label_maps.void name one?")
    # What is odd about both parts is said once.
    yield from sorted((odd for part, boxes in census.boxes.items() for odd in _of_boxes(part, boxes)), key=lambda odd: not odd.wrong)[:1]
    if census.shared:
        path, twin = census.shared[0]
        text = f"{len(census.shared)} of {validation_images} validation images are training images too, such as {path} ({twin})"
        yield Odd("shared-images", len(census.shared) > LEAK * validation_images >= 1, text)
    if census.near:
        path, twin = census.near[0]
        text = f"{len(census.near)} of {validation_images} validation images look as training images do, such as {path} ({twin})"
        yield Odd("near-duplicates", len(census.near) > LEAK * validation_images >= 1, text)
    if census.turned.count:
        yield Odd(
            "turned-images",
            False,
            f"{census.turned.count} images are turned by their EXIF orientation without a change of size, such as {census.turned.example} "
            f"(orientation {census.turned.orientation}): annotations that were drawn on the stored pixels would lie elsewhere, "
            "which `annotated: stored` of the data set says",
        )


def _of_boxes(part: Part, boxes: Boxes) -> Iterator[Odd]:
    if boxes.beside > FEW * boxes.compared:
        text = f"{boxes.beside} of {boxes.compared} boxes of {part} don't fit their masks, such as {boxes.example}"
        yield Odd(
            "odd-boxes",
            boxes.compared >= MANY and boxes.beside > MOSTLY * boxes.compared,
            f"{text}: are they left, top, width and height, in pixels?",
        )
    elif boxes.over > FEW * boxes.count:
        text = f"{boxes.over} of {boxes.count} boxes of {part} reach over the border of their images, such as {boxes.example}"
        yield Odd("odd-boxes", False, f"{text}: are they left, top, width and height, and of images of this size?")
    elif boxes.count >= MANY and boxes.reach < MOSTLY:
        text = f"all {boxes.count} boxes of {part} lie in the upper left quarter of their images"
        yield Odd("odd-boxes", False, f"{text}: are they percentages, or of smaller images?")


def _of_classes(census: Census, unlimited: bool, whole: bool) -> Iterator[Odd]:
    train, validation = (census.by_class[part] for part in PARTS)
    if whole and not train.any():
        return  # a set that is only measured on
    what, last = census.counted, "" if whole else f" of the {census.maps} label maps that were looked at"
    if what != "objects" and (train > 0).sum() == 1:
        only = census.classes[int(train.argmax())]
        text = f"all {what} of train{last} are of class {only}, so there is nothing to tell apart"
        yield Odd("one-class", what == "pixels" and whole, text)
    if not whole:
        train = validation = train + validation
    untaught = [name for name, taught, asked in zip(census.classes, train, validation, strict=True) if asked and not taught]
    nowhere = [name for name, taught, asked in zip(census.classes, train, validation, strict=True) if not asked and not taught]
    unasked = [name for name, taught, asked in zip(census.classes, train, validation, strict=True) if taught and not asked]
    if untaught:
        yield Odd("unseen-classes", unlimited, f"train has no {what} of {_named(untaught)}, which validation has")
    if nowhere:
        yield Odd("unseen-classes", False, f"there are no {what}{last} of {_named(nowhere)}")
    if unasked:
        yield Odd("unseen-classes", False, f"validation has no {what} of {_named(unasked)}, so its figures leave them out")


def _named(classes: list[str]) -> str:
    more = f" and {len(classes) - NAMED} more" if classes[NAMED:] else ""
    return f"{'class' if len(classes) == 1 else 'the classes'} {', '.join(classes[:NAMED])}{more}"
