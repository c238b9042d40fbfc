"""Labelled images of a manifest, as training and evaluation ask for them."""

from pathlib import Path

import numpy
from torch import Tensor
from torch.utils.data import Dataset

from dbot.data.images import read_image
from dbot.data.manifest import Manifest
from dbot.data.transforms import Transform
from dbot.train.randomness import generator, seed_host


class TrainingImages(Dataset[tuple[Tensor, int]]):
    """Training crops. Asked for (epoch, number), so that a crop depends on the seed, the epoch and the image alone.

    Args:
        manifest: the prepared data set.
        transform: draws the crop.
        seed: of all draws.
        fraction: share of the images that is used, the same share of every class.
    """

    def __init__(self, manifest: Manifest, transform: Transform, seed: int, fraction: float = 1.0) -> None:
        samples = manifest.samples("train")
        self.root = Path(manifest.root)
        self.transform = transform
        self.seed = seed
        chosen = evenly(samples.labels, fraction, seed)
        self.paths = numpy.asarray(samples.paths)[chosen]
        self.labels = samples.labels[chosen]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, where: tuple[int, int]) -> tuple[Tensor, int]:
        epoch, number = where
        image = read_image(self.root / str(self.paths[number]))
        seed_host(self.seed, "crop", epoch, number)
        return self.transform(image), int(self.labels[number])


class ValidationImages(Dataset[tuple[Tensor, int]]):
    """One process's share of the validation images: every image goes to exactly one process."""

    def __init__(self, manifest: Manifest, transform: Transform, rank: int = 0, world: int = 1) -> None:
        samples = manifest.samples("validation")
        self.root = Path(manifest.root)
        self.transform = transform
        self.paths = numpy.asarray(samples.paths)[rank::world]
        self.labels = samples.labels[rank::world]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        return self.transform(read_image(self.root / str(self.paths[number]))), int(self.labels[number])


def evenly(labels: numpy.ndarray, fraction: float, seed: int) -> numpy.ndarray:
    """Numbers of a share of the images, the same share of every class (at least one image), in order."""
    if fraction >= 1:
        return numpy.arange(len(labels))
    draws = numpy.random.default_rng(generator(seed, "labels").initial_seed())
    chosen = []
    for label in numpy.unique(labels):
        members = numpy.flatnonzero(labels == label)
        count = max(1, round(len(members) * fraction))
        chosen.append(draws.choice(members, size=count, replace=False))
    return numpy.sort(numpy.concatenate(chosen))
