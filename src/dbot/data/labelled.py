"""Labelled images of a manifest, as training and evaluation ask for them."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from dbot.base.seeds import seed_host, seed_of
from dbot.data.images import read_image
from dbot.data.manifest import Manifest, Samples
from dbot.data.transforms import Transform, ViewsTransform

FITS_IN_MEMORY = 64_000_000
"""Bytes of image files up to which their pixels are decoded once and kept, in each process that reads them."""

Numbers = npt.NDArray[np.int64]


class LabelledPixels:
    """Some images of a part by number: decoded when asked for, and kept if the set is small."""

    def __init__(self, root: Path, samples: Samples, chosen: Numbers, upright: bool = True) -> None:
        self.root = root
        self.upright = upright
        self.paths = samples.paths[chosen]
        self.labels = samples.labels[chosen]
        self._kept: dict[int, Tensor] | None = {} if samples.bytes[chosen].sum() <= FITS_IN_MEMORY else None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        kept = self._kept.get(number) if self._kept is not None else None
        pixels = read_image(self.root / self.paths[number], self.upright) if kept is None else kept
        if self._kept is not None:
            self._kept[number] = pixels
        return pixels, int(self.labels[number])


class TrainingImages(Dataset[Any]):
    """Training crops. Asked for (epoch, number), so that a crop depends on the seed, the epoch and the image alone.

    Args:
        manifest: the prepared data set.
        transform: draws the crop, or several views of it.
        seed: of all draws.
        fraction: share of the images that is used, the same share of every class.
    """

    def __init__(self, manifest: Manifest, transform: Transform | ViewsTransform, seed: int, fraction: float = 1.0) -> None:
        samples = manifest.samples("train")
        self.pixels = LabelledPixels(manifest.root, samples, evenly(samples.labels, fraction, seed), manifest.upright)
        self.transform = transform
        self.seed = seed

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, where: tuple[int, int]) -> tuple[Any, int]:
        epoch, number = where
        pixels, label = self.pixels[number]
        seed_host(self.seed, "crop", epoch, number)
        return self.transform(pixels), label

    @property
    def paths(self) -> Any:
        """By number, an image's file below the data set's root."""
        return self.pixels.paths


class ValidationImages(Dataset[Any]):
    """One process's share of the validation images: every image goes to exactly one process."""

    def __init__(self, manifest: Manifest, transform: Transform, rank: int = 0, world: int = 1) -> None:
        samples = manifest.samples("validation")
        self.pixels = LabelledPixels(manifest.root, samples, np.arange(rank, len(samples), world), manifest.upright)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        pixels, label = self.pixels[number]
        return self.transform(pixels), label


def together(samples: list[tuple[Any, ...]]) -> list[Any]:
    """A batch of samples whose first part is a crop: as torch's default, but the crops stay as they lie in memory.

    Resizing leaves the channels of a pixel together; to part them here would take as long as to resize again.
    """
    crops, *others = zip(*samples, strict=True)
    batch_BCHW = torch.stack([crop.permute(1, 2, 0) for crop in crops]).permute(0, 3, 1, 2)
    return [batch_BCHW, *(default_collate(list(part)) for part in others)]


def evenly(labels: Numbers, fraction: float, seed: int) -> Numbers:
    """Numbers of a share of the images, in order: the same share of every class, and at least one image of each."""
    if fraction >= 1:
        return np.arange(len(labels))
    draws = np.random.default_rng(seed_of(seed, "labels"))
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        chosen.append(draws.choice(members, size=max(1, round(len(members) * fraction)), replace=False))
    return np.sort(np.concatenate(chosen))
