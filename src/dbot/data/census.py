"""What a data set holds, class by class: counted while it is checked, said in lines, and kept in the receipt."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from dbot.data.alike import alike
from dbot.data.labelmaps.values import IGNORE
from dbot.data.layouts.listing import NO_LABEL, PARTS, Part
from dbot.data.manifest import Row
from dbot.data.objects.audit import Boxes

Counted = Literal["images", "objects", "pixels"]

LISTED = 200
"""Classes up to which each is said; of more, the rarest and the most frequent ones are."""
FEW = 40
"""Classes up to which each is said though all have the same count."""
EXTREMES = 5
"""How many of either."""

Counts = npt.NDArray[np.int64]


@dataclass
class Turned:
    """Annotated images that EXIF turns without a change of their size."""

    count: int = 0
    example: str = ""
    orientation: int = 1


@dataclass
class Census:
    """The counts of a data set; `add_map`, `add_hash` and `add_turned` may be called from several threads."""

    classes: Sequence[str]
    counted: Counted
    """What is counted of each class."""
    by_class: dict[Part, Counts] = field(init=False)
    """By part, how many of each class."""
    void: dict[Part, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    """Pixels without a class."""
    maps: int = 0
    """Label maps that were looked at."""
    shared: list[tuple[str, str]] = field(default_factory=list)
    """Images of validation, each with one of training that has the same bytes."""
    near: list[tuple[str, str]] = field(default_factory=list)
    """Images of validation, each with one of training that looks the same and has other bytes."""
    hashes: dict[tuple[Part, str], int] = field(default_factory=dict)
    """By part and path, the perceptual hashes of images, where they are asked for."""
    turned: Turned = field(default_factory=Turned)
    boxes: dict[Part, Boxes] = field(default_factory=dict)
    """By part, how boxes lie, where there are any."""
    _lock: Lock = field(default_factory=Lock, repr=False)

    def __post_init__(self) -> None:
        self.by_class = {part: np.zeros(len(self.classes), dtype=np.int64) for part in PARTS}

    def add_rows(self, rows: Sequence[Row], near: int | None = None) -> None:
        """Count images by class, and those that are in both parts: the same bytes, or, with ``near``, hashes that differ in so few bits."""
        if self.counted == "images":
            for part in PARTS:
                labels = [row.label for row in rows if row.split == part and row.label != NO_LABEL]
                self.by_class[part] += np.bincount(np.array(labels, dtype=np.int64), minlength=len(self.classes))
        trained = {row.digest: row.path for row in rows if row.split == "train"}
        self.shared += [(row.path, trained[row.digest]) for row in rows if row.split == "validation" and row.digest in trained]
        if near is not None:
            same = {path for path, _ in self.shared}
            train = sorted(path for part, path in self.hashes if part == "train")
            validation = sorted(path for part, path in self.hashes if part == "validation" and path not in same)
            hashes = [self.hashes["train", path] for path in train]
            found = alike(hashes, [self.hashes["validation", path] for path in validation], near)
            self.near += [(validation[number], train[twin]) for number, twin in found]

    def add_hash(self, part: Part, path: str, value: int) -> None:
        """Keep the perceptual hash of an image."""
        with self._lock:
            self.hashes[part, path] = value

    def add_objects(self, part: Part, by_class: Sequence[int], boxes: Boxes | None = None) -> None:
        """Count objects, and keep how their boxes lie."""
        self.by_class[part] += np.array(by_class, dtype=np.int64)
        if boxes is not None:
            self.boxes[part] = boxes

    def add_map(self, part: Part, classes_HW: Tensor) -> None:
        """Count the pixels of a label map, as `classes_of` gives it."""
        counts = np.bincount(classes_HW.numpy().ravel(), minlength=IGNORE + 1)
        with self._lock:
            self.by_class[part] += counts[: len(self.classes)]
            self.void[part] += int(counts[IGNORE])
            self.maps += 1

    def add_turned(self, path: str, orientation: int) -> None:
        """Count an image that EXIF turns, and after which it has the size that it had."""
        with self._lock:
            self.turned.count += 1
            if not self.turned.example or path < self.turned.example:
                self.turned.example, self.turned.orientation = path, orientation

    @property
    def has_classes(self) -> bool:
        """Whether there is anything to count by class."""
        return any(counts.any() for counts in self.by_class.values())

    def void_share(self, part: Part) -> float:
        """Pixels without a class among all of a part's label maps that were looked at."""
        every = self.void[part] + int(self.by_class[part].sum())
        return self.void[part] / every if every else 0.0

    def lines(self) -> list[str]:
        """What there is, for people: a line for each part."""
        return [self._line(part) for part in PARTS if self.by_class[part].any()]

    def results(self) -> dict[str, int | float]:
        """What a receipt keeps: how many classes there are of each part, the fewest and most of a class, and what is void.

        Classes of images need no word in it: their counts are in `samples.tsv`.
        """
        if self.counted == "images" or not self.has_classes:
            return {}
        kept: dict[str, int | float] = {}
        for part in PARTS:
            counts = self.by_class[part]
            kept |= {f"{part}_{self.counted}": int(counts.sum()), f"{part}_classes": int((counts > 0).sum())}
            kept |= {f"{part}_fewest": int(counts.min()), f"{part}_most": int(counts.max())}
            if self.counted == "pixels":
                kept[f"{part}_void"] = round(self.void_share(part), 6)
        return kept

    def _line(self, part: Part) -> str:
        counts = self.by_class[part]
        order = np.argsort(counts, kind="stable")
        if len(order) > FEW and counts.min() == counts.max():
            said = f"{counts[0]} of each of {len(order)} classes"
        elif len(order) <= LISTED:
            said = ", ".join(f"{name} {count}" for name, count in zip(self.classes, counts.tolist(), strict=True))
        else:
            rare, frequent = (", ".join(f"{self.classes[i]} {counts[i]}" for i in some) for some in (order[:EXTREMES], order[-EXTREMES:]))
            said = f"{len(order)} classes, from {rare} to {frequent}; median {int(np.median(counts))}"
        void = f"; without a class {self.void_share(part):.1%} of the pixels" if self.counted == "pixels" else ""
        return f"{part}, {self.counted} by class: {said}{void}"
