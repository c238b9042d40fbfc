"""From the values in a label map's file to classes."""

from pathlib import Path

import torch
from torch import Tensor

from dbot.base.errors import UserError
from dbot.params.datasets import LabelMaps

IGNORE = 255
"""Stands for pixels without a class, wherever classes are numbered from 0."""

MOST_CLASSES = IGNORE


def values_of(label_maps: LabelMaps, classes: int) -> list[int]:
    """The value of each class in a set's label maps: the way back from what `classes_of` gives."""
    return label_maps.values or list(range(label_maps.first_class, label_maps.first_class + classes))


def classes_of(values_HW: Tensor, label_maps: LabelMaps, classes: int, path: Path) -> Tensor:
    """Classes from 0, `IGNORE` for pixels without one: uint8 (H, W).

    Args:
        values_HW: the file's values, integers.
        label_maps: what they stand for.
        classes: number of them.
        path: of the file, for the message.

    Raises:
        UserError: a value stands for nothing.
    """
    if label_maps.values is None:
        numbers = values_HW - label_maps.first_class
    else:
        known = torch.tensor(label_maps.values, dtype=values_HW.dtype)
        order = known.argsort()
        places = torch.searchsorted(known[order], values_HW).clamp(max=len(known) - 1)
        numbers = order[places].to(values_HW.dtype).masked_fill(known[order][places] != values_HW, -1)
    void = torch.isin(values_HW, torch.tensor(label_maps.void, dtype=values_HW.dtype))
    unknown = ((numbers < 0) | (numbers >= classes)) & ~void
    if unknown.any():
        said = ", ".join(map(str, label_maps.values or [])) or f"{label_maps.first_class} to {label_maps.first_class + classes - 1}"
        without = f", and {' or '.join(map(str, label_maps.void))} for no class" if label_maps.void else ""
        raise UserError(
            f"{path}: holds the value {int(values_HW[unknown][0])}; values are {said}{without}; "
            "mend the file, or label_maps of the data set"
        )
    return numbers.masked_fill(void, IGNORE).to(torch.uint8)
