"""The detector: a pyramid of a ViT's features, an FPN, proposals and the cascade."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from dbot.models.detector.cascade import Cascade, Detections, Target
from dbot.models.detector.proposals import ProposalNetwork
from dbot.models.pyramid import Pyramid
from dbot.params.dense import Detect


class Detector(nn.Module):
    """Cascade Mask R-CNN. Under autocast only the pyramid computes in lower precision.

    Coordinates of boxes are off by pixels in bfloat16 (8 px at 1,100 measured), so everything
    above the pyramid is float32.

    Args:
        pyramid: gives four maps.
        recipe: the configuration.
        classes: number of classes, without the background.
        masks: whether it has mask heads; without them it is Cascade R-CNN.
    """

    def __init__(self, pyramid: Pyramid, recipe: Detect, classes: int, masks: bool = True) -> None:
        super().__init__()
        strides = tuple(pyramid.strides)
        self.divisor = int(pyramid.divisor)
        self.pyramid = pyramid
        self.neck = FeaturePyramidNetwork([pyramid.channels] * len(strides), recipe.channels, LastLevelMaxPool())
        self.proposals = ProposalNetwork(recipe.proposals, recipe.channels, (*strides, 2 * strides[-1]))
        self.cascade = Cascade(recipe, strides, classes, masks)

    @property
    def has_masks(self) -> bool:
        """Whether it finds masks too, and not boxes alone."""
        return self.cascade.pool_masks is not None

    def forward(self, images: Sequence[Tensor], targets: Sequence[Target] | None = None) -> dict[str, Tensor] | list[Detections]:
        """In training the named losses, whose sum is to be minimised; otherwise what is in each image.

        Args:
            images: normalised, (3, H_i, W_i).
            targets: of the images, in training: `boxes` (N, 4) xyxy in pixels, `labels` (N,) from 1,
                and for mask heads `masks` (N, H_i, W_i).

        Returns:
            Losses by name, or by image `boxes` (N, 4) xyxy in its pixels, `scores` (N,), `labels` (N,)
            from 1 and, of mask heads, `masks` (N, M, M), probabilities within the box; the best first.
        """
        batch = pad(images, self.divisor)
        maps = [features.float() for features in self.pyramid(batch.tensors)]
        with torch.autocast(batch.tensors.device.type, enabled=False):
            levels = self.neck({str(number): features for number, features in enumerate(maps)})
            pooled_from = list(levels.values())[: len(maps)]
            if not self.training:
                proposals, _ = self.proposals(batch, levels)
                return self.cascade.detect(pooled_from, proposals, batch.image_sizes)
            if targets is None:
                raise TypeError("in training the detector needs targets; for detections call eval() first")
            sized = [{**target, "size": size} for target, size in zip(targets, batch.image_sizes, strict=True)]
            proposals, losses = self.proposals(batch, levels, sized)
            return {**losses, **self.cascade.losses(pooled_from, proposals, batch.image_sizes, list(targets))}


def pad(images: Sequence[Tensor], divisor: int) -> ImageList:
    """One batch of images of several sizes: zeros (the mean colour) to the right and below, up to a multiple of the divisor."""
    sizes = [(image.shape[-2], image.shape[-1]) for image in images]
    height, width = (math.ceil(max(sides) / divisor) * divisor for sides in zip(*sizes, strict=True))
    padded = [functional.pad(image, (0, width - w, 0, height - h)) for image, (h, w) in zip(images, sizes, strict=True)]
    return ImageList(torch.stack(padded), sizes)


def build_detector(pyramid: Pyramid, recipe: Detect, classes: int, masks: bool = True) -> Detector:
    """The detector of a recipe; its weights are torch's until `initialise_heads`.

    Args:
        pyramid: gives four maps of the features.
        recipe: the configuration.
        classes: number of classes, without the background.
        masks: whether it has mask heads.
    """
    return Detector(pyramid, recipe, classes, masks)


def initialise_heads(detector: Detector, generator: torch.Generator) -> None:
    """Draw all weights above the pyramid anew (mmdet's initialisation).

    The FPN and the fully connected layers are xavier-uniform, the proposal network normal with
    standard deviation 0.01, convolutions of the heads kaiming-normal (fan-out), the layer that
    classifies normal with 0.01 and the one that regresses with 0.001. Biases are 0, norms 1 and 0.

    Args:
        detector: in place.
        generator: source of all draws, so that every process can make the same ones.
    """
    for name, part in detector.named_modules():
        if name.startswith("pyramid.") or not hasattr(part, "weight") or not isinstance(part.weight, Tensor):
            continue
        weight = part.weight
        if isinstance(part, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.ones_(weight)
        elif name.startswith("proposals."):
            nn.init.normal_(weight, std=0.01, generator=generator)
        elif name.startswith("neck."):
            nn.init.xavier_uniform_(weight, generator=generator)
        elif name.endswith(".classify"):
            nn.init.normal_(weight, std=0.01, generator=generator)
        elif name.endswith(".regress"):
            nn.init.normal_(weight, std=0.001, generator=generator)
        elif isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(weight, generator=generator)
        else:
            nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu", generator=generator)
        if part.bias is not None:
            nn.init.zeros_(part.bias)
