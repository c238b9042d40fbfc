"""What a reader finds: images in their order, their labels, and the names of the classes; and a smaller set out of a larger one."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from dbot.base.errors import UserError
from dbot.params.datasets import Dataset, LabelMaps, Split

Part = Literal["train", "validation"]
PARTS: tuple[Part, Part] = ("train", "validation")

NO_LABEL = -1


class Sample(NamedTuple):
    """One image."""

    path: str
    """Relative to the root, with forward slashes."""
    label: int
    """Position in the list of classes; `NO_LABEL` for tasks whose images have no class."""
    annotation: str = ""
    """Label map, relative to the root, or COCO's image id."""
    size: tuple[int, int] | None = None
    """Height and width in pixels, where an annotation file states them."""


Read = Callable[[], bytes]
"""Gives the bytes of a file that lies inside an archive; safe to call from several threads."""


@dataclass(frozen=True)
class Place:
    """Where a data set lies, and what params.yaml says of it."""

    name: str
    root: Path
    dataset: Dataset

    def split(self, part: Part) -> Split:
        split: Split = getattr(self.dataset, part)
        return split

    def key(self, *below: str) -> str:
        """The dotted key of params.yaml, for messages."""
        return ".".join(("datasets", self.name, *below))

    def annotations(self, part: Part) -> str:
        """The annotations' path of a part, which layouts that keep them apart must have.

        Raises:
            UserError: params.yaml names none.
        """
        found = self.split(part).annotations
        if found is None:
            raise UserError(f"{self.key(part, 'annotations')} is null: name the annotations of this part, below {self.root}")
        return found


@dataclass(frozen=True)
class Listing:
    """Everything that a reader found."""

    classes: list[str]
    samples: dict[Part, list[Sample]]
    annotation_files: dict[Part, str] = field(default_factory=dict)
    """Files below the root that hold what the samples' `annotation` refers to."""
    label_maps: LabelMaps | None = None
    """What the values of the label maps stand for that `annotation` names; None: it names none."""
    packed: Mapping[str, Any] = field(default_factory=dict)
    """Files that lie inside an archive, or were converted, by path: uint8 images (H, W, 3), or a `Read`. They need a prepared copy."""
    below: str = ""
    """Folder below the root that all paths are relative to, where the set lies deeper than its root says."""
    parts: tuple[Part, ...] = PARTS
    """The parts that must have images: images without labels may lack a validation part."""
    left_out: list[str] = field(default_factory=list)
    """What was passed over in the folders, a line each."""


def limited(samples: list[Sample], limit: int | None) -> list[Sample]:
    """At most ``limit`` samples, as many of each class as of any other where the class has them, in their old order.

    Which ones is decided by the digests of their paths: the same on every machine, unlike the
    first ones not all from one scene, and a smaller limit picks a part of what a larger one picks.
    """
    if limit is None or limit >= len(samples):
        return samples
    taken: dict[int, int] = defaultdict(int)
    turns: list[tuple[int, str, int]] = []
    for key, position in sorted((hashlib.sha256(sample.path.encode()).hexdigest(), i) for i, sample in enumerate(samples)):
        label = samples[position].label
        turns.append((taken[label], key, position))
        taken[label] += 1
    return [samples[position] for position in sorted(position for _, _, position in sorted(turns)[:limit])]
