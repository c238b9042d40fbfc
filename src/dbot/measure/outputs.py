"""Which of a classifier's outputs stands for which class of a data set."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from timm.data import ImageNetInfo, infer_imagenet_subset

from dbot.base.errors import UserError

WORDNET = re.compile(r"n\d{8}")
"""WordNet ids, as ImageNet and its offspring name their folders."""


@dataclass(frozen=True)
class Matching:
    """By class of the data, in their order, the number of the output that stands for it."""

    outputs: list[int]
    how: str
    """In words."""


@cache
def wordnet_ids(outputs: int) -> tuple[str, ...]:
    """The WordNet ids of ImageNet's classifiers of so many outputs, in their order; nothing where there are no such."""
    subset = infer_imagenet_subset({"num_classes": outputs})
    return () if subset is None else tuple(ImageNetInfo(subset).label_names())


def is_wordnet(names: Sequence[str]) -> bool:
    """Whether all names are WordNet ids."""
    return all(WORDNET.fullmatch(name) for name in names)


def is_numbers(names: Sequence[str]) -> bool:
    """Whether all names are numbers from 0 on, written without leading zeros."""
    return all(name.isascii() and name.isdecimal() and name == str(int(name)) for name in names)


def matched(classes: Sequence[str], outputs: int, names: Sequence[str] | None) -> Matching:
    """Match a data set's classes with a classifier's outputs.

    By name where the classifier names its outputs so; by WordNet id where the folders are called by them and the classifier
    has as many outputs as an ImageNet; by number where the folders are numbers (ImageNet-V2) and the outputs
    have no names, or ImageNet's in their order; else in the order of the names,
    where there are as many.

    Args:
        classes: names of the data set's, as its folders have them.
        outputs: number of the classifier's.
        names: of its outputs, in their order; None, or their numbers: they have no names.

    Raises:
        UserError: nothing tells which output stands for which class.
    """
    unnamed = names is None or list(names) == [str(number) for number in range(outputs)]
    named = None if names is None or unnamed else {name: number for number, name in enumerate(names)}
    if named is not None and all(name in named for name in classes):
        return Matching([named[name] for name in classes], "by the names of the classes")
    if is_wordnet(classes) and (known := wordnet_ids(outputs)):
        places = {name: number for number, name in enumerate(known)}
        if unknown := [name for name in classes if name not in places]:
            more = f" (nor are {len(unknown) - 1} others)" if unknown[1:] else ""
            raise UserError(f"class {unknown[0]} of the data is none of the {outputs:,} that the classifier knows{more}; take it out")
        return Matching([places[name] for name in classes], f"by WordNet ids, the {outputs:,} classes in their order")
    in_order = names is not None and tuple(names) == wordnet_ids(outputs)
    if (named is None or in_order) and is_numbers(classes) and all(int(name) < outputs for name in classes):
        return Matching([int(name) for name in classes], "by the numbers that the class folders are called")
    if named is None and len(classes) == outputs:
        return Matching(list(range(outputs)), "in the order of the names of the class folders")
    stranger = next((name for name in classes if named is not None and name not in named), classes[0])
    raise UserError(
        f"nothing says which of the classifier's {outputs:,} outputs stands for {stranger!r}, one of the data's {len(classes):,} classes: "
        "call the class folders as the classifier calls its classes, by their WordNet ids, or by the numbers of its outputs"
    )
