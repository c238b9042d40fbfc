"""Images with label maps of a manifest, as training and evaluation ask for them."""

from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from dbot.base.errors import UserError
from dbot.base.seeds import seed_host
from dbot.data.images import read_image, read_label_map
from dbot.data.labelled import FITS_IN_MEMORY, Numbers
from dbot.data.labelmaps.transforms import MapTransform
from dbot.data.labelmaps.values import classes_of
from dbot.data.layouts.listing import Part
from dbot.data.manifest import Manifest
from dbot.params.datasets import LabelMaps

Pair = tuple[Tensor, Tensor]
"""A uint8 RGB image (3, H, W) and the classes of its pixels (H, W)."""


class Pairs:
    """Some images of a part by number, with their classes as uint8: decoded when asked for, and kept if the set is small."""

    def __init__(self, manifest: Manifest, part: Part, chosen: Numbers | None = None) -> None:
        samples = manifest.samples(part)
        chosen = np.arange(len(samples)) if chosen is None else chosen
        self.root = manifest.root
        self.upright = manifest.upright
        self.paths = samples.paths[chosen]
        self.maps = samples.annotations[chosen]
        self.label_maps = manifest.label_maps or LabelMaps()
        self.classes = len(manifest.classes)
        self._kept: dict[int, Pair] | None = {} if samples.bytes[chosen].sum() <= FITS_IN_MEMORY else None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Pair:
        """The pair.

        Raises:
            UserError: a file is missing or broken, their sizes differ, or a value stands for no class.
        """
        kept = self._kept.get(number) if self._kept is not None else None
        pair = self._read(number) if kept is None else kept
        if self._kept is not None:
            self._kept[number] = pair
        return pair

    def _read(self, number: int) -> Pair:
        path = self.root / self.maps[number]
        image, values_HW = read_image(self.root / self.paths[number], self.upright), read_label_map(path)
        if values_HW.shape != image.shape[1:]:
            raise UserError(f"{path}: has {tuple(values_HW.shape)} pixels, its image {tuple(image.shape[1:])}; mend or remove the pair")
        return image, classes_of(values_HW, self.label_maps, self.classes, path)


class TrainingPairs(Dataset[Any]):
    """Training crops. Asked for (epoch, number), so that a crop depends on the seed, the epoch and the image alone.

    Args:
        manifest: the prepared data set.
        transform: draws the crop.
        seed: of all draws.
    """

    def __init__(self, manifest: Manifest, transform: MapTransform, seed: int) -> None:
        self.pairs = Pairs(manifest, "train")
        self.transform = transform
        self.seed = seed

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, where: tuple[int, int]) -> Pair:
        epoch, number = where
        image, classes_HW = self.pairs[number]
        seed_host(self.seed, "crop", epoch, number)
        return self.transform(image, classes_HW)

    @property
    def paths(self) -> Any:
        """By number, an image's file below the data set's root."""
        return self.pairs.paths


class ValidationPairs(Dataset[Any]):
    """One process's share of the validation images at their own sizes: every image goes to exactly one process."""

    def __init__(self, manifest: Manifest, rank: int = 0, world: int = 1) -> None:
        self.pairs = Pairs(manifest, "validation", np.arange(rank, manifest.counts["validation"], world))

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, number: int) -> Pair:
        return self.pairs[number]
