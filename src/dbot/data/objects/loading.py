"""Images with their objects, as training and evaluation ask for them."""

from typing import Any, NamedTuple

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from dbot.base.errors import UserError
from dbot.base.seeds import seed_host
from dbot.data.labelled import LabelledPixels
from dbot.data.manifest import Manifest
from dbot.data.objects.annotations import read_objects
from dbot.data.objects.transforms import Target, inference_view, training_transform
from dbot.params.dense import DetectAugmentation, DetectInference


class Origin(NamedTuple):
    """Where a view of evaluation came from: what takes detections back to the image's own pixels."""

    image_id: int
    """COCO's."""
    height: int
    width: int
    """Of the image itself, in pixels."""
    view_height: int
    view_width: int
    """Of what the detector is shown, in pixels."""


class TrainingObjects(Dataset[tuple[Tensor, Target]]):
    """Training views. Asked for (epoch, number), so that a view depends on the seed, the epoch and the image alone.

    Images without an object that can be learnt are left out, as in the published training; a crop
    may still miss all objects of its image, and the target is empty then.

    Raises:
        UserError: the set has no annotations, or none that can be learnt.
    """

    def __init__(self, manifest: Manifest, augmentation: DetectAugmentation, seed: int) -> None:
        self.objects = read_objects(manifest, "train")
        self.chosen = self.objects.with_targets()
        if not len(self.chosen):
            raise UserError(f"{manifest.root / manifest.annotation_files['train']['path']}: no training image has an object")
        self.pixels = LabelledPixels(manifest.root, manifest.samples("train"), self.chosen, manifest.upright)
        self.transform = training_transform(augmentation)
        self.seed = seed

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, where: tuple[int, int]) -> tuple[Tensor, Target]:
        epoch, number = where
        image, _ = self.pixels[number]
        seed_host(self.seed, "crop", epoch, number)
        return self.transform(image, self.objects.target(int(self.chosen[number])))

    @property
    def paths(self) -> Any:
        """By number, an image's file below the data set's root."""
        return self.pixels.paths


class ValidationViews(Dataset[tuple[Tensor, Origin]]):
    """One process's share of the validation images, at the size of evaluation: every image goes to exactly one process."""

    def __init__(self, manifest: Manifest, inference: DetectInference, rank: int = 0, world: int = 1) -> None:
        samples = manifest.samples("validation")
        chosen = np.arange(rank, len(samples), world)
        self.pixels = LabelledPixels(manifest.root, samples, chosen, manifest.upright)
        self.image_ids = samples.annotations[chosen]
        self.inference = inference

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, number: int) -> tuple[Tensor, Origin]:
        image, _ = self.pixels[number]
        view = inference_view(image, self.inference)
        return view, Origin(int(self.image_ids[number]), *image.shape[1:], *view.shape[1:])


def collate(samples: list[tuple[Tensor, Any]]) -> tuple[list[Tensor], list[Any]]:
    """A list of images, which differ in size, and a list of what came with them."""
    images, others = zip(*samples, strict=True)
    return list(images), list(others)
