"""Labelled images of a folder as they lie there, for measurements without a declaration: nothing is prepared, copied or hashed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dbot.base.errors import UserError
from dbot.data.images import decode_image, read_label_map
from dbot.data.labelled import LabelledPixels
from dbot.data.labelmaps.values import classes_of
from dbot.data.layouts.class_folders import listed
from dbot.data.layouts.listing import NO_LABEL, PARTS, Part, Sample
from dbot.data.layouts.reader import LAST, found_out, read_listing
from dbot.data.manifest import Samples
from dbot.params.datasets import Dataset, LabelMaps, Split

CLASS_FOLDERS = "class folders"
"""What a folder of class folders alone, without parts, is called."""
UNKNOWN_BYTES = 1 << 62
"""Of what lies in archives: too much to be kept."""


class ListedPixels(LabelledPixels):
    """Images that a reader listed, those in archives included.

    Args:
        root: what their paths are relative to.
        samples: the images.
        packed: by path, images that lie in an archive, as `Listing` has them.
    """

    def __init__(self, root: Path, samples: Sequence[Sample], packed: Mapping[str, Any] | None = None) -> None:
        self.packed = packed or {}
        text = np.dtypes.StringDType()
        sizes = [UNKNOWN_BYTES if sample.path in self.packed else _bytes(root / sample.path) for sample in samples]
        listed = Samples(
            paths=np.array([sample.path for sample in samples], dtype=text),
            labels=np.array([sample.label for sample in samples], dtype=np.int64),
            bytes=np.array([min(size, UNKNOWN_BYTES // max(1, len(samples))) for size in sizes], dtype=np.int64),
            annotations=np.array([sample.annotation for sample in samples], dtype=text),
        )
        super().__init__(root, listed, np.arange(len(samples)))

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        path = str(self.paths[number])
        if path not in self.packed:
            return super().__getitem__(number)
        found = self.packed[path]
        pixels = (
            decode_image(found(), self.root / path) if callable(found) else torch.from_numpy(np.ascontiguousarray(found)).permute(2, 0, 1)
        )
        return pixels, int(self.labels[number])


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); restore it") from None


@dataclass(frozen=True)
class LabelledFolder:
    """What a folder holds."""

    layout: str
    """That it was read by, or `CLASS_FOLDERS`."""
    classes: list[str]
    parts: Mapping[Part, ListedPixels]
    """Those that have images; class folders alone are for validation."""
    left_out: list[str] = field(default_factory=list)
    """What was passed over, a line each."""

    def part(self, part: Part, job: str) -> ListedPixels:
        """The images of a part.

        Raises:
            UserError: there are none.
        """
        if part not in self.parts:
            raise UserError(f"{job} needs {part} images, and the folder ({self.layout}) has none; name one with train/ and val/")
        return self.parts[part]


def labelled_folder(folder: Path, declared: Dataset | None = None) -> LabelledFolder:
    """The images of a folder with their classes: a data set in any layout that `dbot prepare` reads, or class folders alone.

    Args:
        folder: where they lie.
        declared: what is known of the set. None: nothing.

    Raises:
        UserError: there is no such folder, or it holds no images with classes.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: is no folder; name one that holds images in folders of their classes")
    undeclared = declared is None
    declared = declared or Dataset(title=folder.name, root=str(folder), source="its owner")
    layout = found_out("data", declared).layouts[0]
    if undeclared and layout == LAST:
        return class_folders(folder)
    found, listing = read_listing("data", declared)
    if not listing.classes or any(sample.label == NO_LABEL for part in PARTS for sample in listing.samples[part][:1]):
        raise UserError(
            f"{folder}: is a set of layout {found}, whose images have no classes; name one whose images lie in folders of classes"
        )
    root = folder / listing.below
    parts = {part: ListedPixels(root, listing.samples[part], listing.packed) for part in PARTS if listing.samples[part]}
    return LabelledFolder(found, listing.classes, parts, listing.left_out)


@dataclass(frozen=True)
class MapsFolder:
    """Images with label maps."""

    root: Path
    label_maps: LabelMaps
    """What their values stand for."""
    classes: list[str]
    samples: Mapping[Part, Sequence[Sample]]
    packed: Mapping[str, Any]
    left_out: list[str]

    def pair(self, sample: Sample) -> tuple[Tensor, Tensor]:
        """The uint8 image (3, H, W) and the classes of its pixels (H, W), `IGNORE` for none.

        Raises:
            UserError: a file is broken, their sizes differ, or a value stands for no class.
        """
        path, maps = self.root / sample.annotation, self.packed.get(sample.annotation)
        image, _ = ListedPixels(self.root, [sample], self.packed)[0]
        values_HW = read_label_map(path, None if maps is None else maps())
        if values_HW.shape != image.shape[1:]:
            raise UserError(f"{path}: has {tuple(values_HW.shape)} pixels, its image {tuple(image.shape[1:])}; mend or remove the pair")
        return image, classes_of(values_HW, self.label_maps, len(self.classes), path)


ADE20K_TRAIN = Split(images="images/training", annotations="annotations/training")
ADE20K_VALIDATION = Split(images="images/validation", annotations="annotations/validation")
"""Where its images and label maps lie, by part."""


def maps_folder(folder: Path, declared: Dataset | None = None) -> MapsFolder:
    """The images of a folder with their label maps.

    Args:
        folder: where they lie.
        declared: what is known of the set. None: it is as ADE20K is, whose first class is 1, and 0 is none.

    Raises:
        UserError: there is no such folder, or it is of a layout without label maps, or lacks a part.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: is no folder; name one that holds images and their label maps")
    declared = declared or Dataset(
        title=folder.name,
        root=str(folder),
        source="its owner",
        layouts=["labelmaps"],
        train=ADE20K_TRAIN,
        validation=ADE20K_VALIDATION,
    )
    layout, listing = read_listing("data", declared)
    if listing.label_maps is None:
        raise UserError(f"{folder}: is of layout {layout}, without label maps; name a set that has them")
    if lacking := [part for part in PARTS if not listing.samples[part]]:
        raise UserError(f"{folder}: has no {lacking[0]} images; complete it")
    return MapsFolder(folder / listing.below, listing.label_maps, listing.classes, listing.samples, listing.packed, listing.left_out)


def class_folders(folder: Path, expected: Callable[[str], bool] = lambda name: True) -> LabelledFolder:
    """The images of a folder of class folders.

    Args:
        folder: where they lie.
        expected: whether a folder's name can be that of a class.

    Raises:
        UserError: it holds no class folders, one without images, or one that isn't expected.
    """
    classes, samples, left_out = listed(folder, expected)
    return LabelledFolder(CLASS_FOLDERS, classes, {"validation": ListedPixels(folder, samples)}, left_out)
