"""UperNet on a pyramid of a ViT's maps: transformers' heads, a port of mmsegmentation's, with their dropout."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import UperNetConfig
from transformers.models.upernet.modeling_upernet import UperNetFCNHead, UperNetHead

from dbot.base.errors import UserError
from dbot.params.dense import Segment

if TYPE_CHECKING:
    from dbot.models.pyramid import Pyramid


class Segmenter(nn.Module):
    """A pyramid, the head that labels, and the auxiliary head of training.

    Args:
        pyramid: gives four maps.
        recipe: the heads' configuration.
        classes: number of them.
    """

    def __init__(self, pyramid: "Pyramid", recipe: Segment, classes: int) -> None:
        super().__init__()
        channels = [pyramid.channels] * len(pyramid.strides)
        config = UperNetConfig(
            hidden_size=recipe.head.channels or pyramid.channels,
            pool_scales=recipe.head.pool_scales,
            auxiliary_channels=recipe.auxiliary.channels,
            num_labels=classes,
        )
        self.classes = classes
        self.pyramid = pyramid
        self.head = UperNetHead(config, channels)
        self.auxiliary = UperNetFCNHead(config, channels, in_index=recipe.auxiliary.tap)
        for head in (self.head, self.auxiliary):  # transformers' heads lack it
            head.classifier = nn.Sequential(nn.Dropout2d(recipe.head.dropout), head.classifier)

    def forward(self, images_BCHW: Tensor) -> list[Tensor]:
        """Logits of the head at the finest map's stride and, in training, of the auxiliary head at its map's: each (B, classes, h, w).

        Args:
            images_BCHW: normalised images, their sides multiples of the pyramid's divisor.
        """
        maps = self.pyramid(images_BCHW)
        return [self.head(maps), self.auxiliary(maps)] if self.training else [self.head(maps)]


def build_segmenter(pyramid: "Pyramid", recipe: Segment, classes: int) -> Segmenter:
    """A segmenter whose heads have torch's initial weights.

    Raises:
        UserError: the training crop doesn't fit the pyramid.
    """
    crop = recipe.augmentation.crop
    if crop % pyramid.divisor:
        raise UserError(f"augmentation.crop of the segmentation recipe is {crop}: it must be a multiple of {pyramid.divisor}, two patches")
    return Segmenter(pyramid, recipe, classes)


def initialise_heads(segmenter: Segmenter, classifier_std: float, generator: torch.Generator) -> None:
    """Draw all weights of the two heads anew, as mmsegmentation does.

    Convolutions are normal with variance 2 / fan-out (He), norms 1 and 0; the classifiers normal
    with the given standard deviation (0.01 there), their biases 0.
    """
    for head in (segmenter.head, segmenter.auxiliary):
        for part in head.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.reset_parameters()
            elif isinstance(part, nn.Conv2d) and part.bias is None:
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        classifier = head.classifier[-1]
        nn.init.normal_(classifier.weight, std=classifier_std, generator=generator)
        nn.init.zeros_(classifier.bias)


def enlarged(logits_BKhw: Tensor, size: Sequence[int]) -> Tensor:
    """Logits at another (height, width), float32: (B, K, H, W)."""
    return functional.interpolate(logits_BKhw.float(), size=tuple(size), mode="bilinear", align_corners=False)
