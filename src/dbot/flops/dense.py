"""Detectors and segmenters: FLOPs of an image, and numbers of weights.

Images of detection differ in size and in what is in them, so its numbers are coarse: every image
counts as 4:3 (squares where the project draws them), padding of a batch to its largest image is
left out, and every stage of the cascade gets as many proposals and positives as its recipe allows.
"""

import math
from collections.abc import Sequence

from dbot.flops.cost import Cost, convolution, linear
from dbot.flops.vit import encoder, encoder_weights
from dbot.params.architectures import Architecture
from dbot.params.dense import Dense
from dbot.params.detection import Detect
from dbot.params.segmentation import Segment

LEVELS = (16, 4, 1, 1 / 4)
"""Places of the pyramid's maps, over the patches of the image, the finest first."""
COARSEST = 1 / 16
"""Those of the map that the detector's neck adds."""
PLAIN_ASPECT = 4 / 3
"""Long over short side of a photograph."""


def sides(short: float, long_at_most: float, aspect: float) -> tuple[float, float]:
    """Short and long side of an image that is resized to a short side, unless its long side would be too long."""
    scale = min(short, long_at_most / aspect)
    return scale, scale * aspect


def pyramid(architecture: Architecture, recipe: Dense, height: float, width: float) -> tuple[Cost, int]:
    """Encoder and resamplers on an image, and its number of patches once it is padded to what they can take."""
    divisor = 2 * architecture.patch_size
    patches = 4 * math.ceil(height / divisor) * math.ceil(width / divisor)
    doubled = linear(patches, architecture.width, 4 * architecture.width)
    return encoder(architecture, patches) + Cost(inner=6 * doubled), patches


def detector(architecture: Architecture, recipe: Detect, classes: int, height: float, width: float, training: bool) -> Cost:
    """A Cascade Mask R-CNN on one image; all above the pyramid is float32."""
    cost, patches = pyramid(architecture, recipe, height, width)
    channels, anchors = recipe.channels, len(recipe.proposals.anchor_ratios)
    places = patches * sum(LEVELS)
    neck = linear(places, architecture.width, channels) + convolution(places, channels, channels, 3)
    everywhere = places + patches * COARSEST
    proposing = convolution(everywhere, channels, channels, 3) + linear(everywhere, channels, 5 * anchors)
    if training:
        samples: float = recipe.cascade.samples
        masked = samples * recipe.cascade.positive_fraction
    else:
        samples, masked = recipe.proposals.kept.inference, recipe.inference.detections
    stages = len(recipe.cascade.stages)
    return cost + Cost(full=neck + proposing + stages * (samples * _box_head(recipe, classes) + masked * _mask_head(recipe, classes)))


def _box_head(recipe: Detect, classes: int) -> float:
    config, channels, area = recipe.boxes, recipe.channels, recipe.boxes.size**2
    outputs = (classes + 1) + 4 * (1 if config.class_agnostic else classes + 1)
    return (
        config.convolutions * convolution(area, channels, channels, 3)
        + linear(1, channels * area, config.hidden)
        + linear(1, config.hidden, outputs)
    )


def _mask_head(recipe: Detect, classes: int) -> float:
    config, channels, area = recipe.masks, recipe.channels, recipe.masks.size**2
    return (
        config.convolutions * convolution(area, channels, channels, 3)
        + linear(area, channels, 4 * channels)
        + linear(4 * area, channels, classes + 1)
    )


def segmenter(architecture: Architecture, recipe: Segment, classes: int, height: float, width: float, training: bool) -> Cost:
    """An UperNet on one crop or window."""
    cost, patches = pyramid(architecture, recipe, height, width)
    source, channels = architecture.width, recipe.head.channels or architecture.width
    finest, fine, coarsest = patches * LEVELS[0], patches * sum(LEVELS[:3]), patches * LEVELS[3]
    pooled = sum(linear(scale**2, source, channels) for scale in recipe.head.pool_scales)
    together = source + len(recipe.head.pool_scales) * channels
    head = (
        pooled
        + convolution(coarsest, together, channels, 3)
        + linear(fine, source, channels)
        + convolution(fine, channels, channels, 3)
        + convolution(finest, 4 * channels, channels, 3)
        + linear(finest, channels, classes)
    )
    if training:
        auxiliary, places = recipe.auxiliary.channels, patches * LEVELS[recipe.auxiliary.tap]
        head += convolution(places, source, auxiliary, 3) + linear(places, auxiliary, classes)
    return cost + Cost(inner=head)


def windows(height: float, width: float, window: int, stride: int) -> int:
    """How many windows cover an image."""
    return math.prod(1 + math.ceil(max(0.0, extent - window) / stride) for extent in (height, width))


def mean(costs: Sequence[Cost]) -> Cost:
    """The cost of an image of which one of several sizes is drawn."""
    total = sum(costs, Cost())
    return Cost(*(value / len(costs) for value in vars(total).values()))


def pyramid_weights(architecture: Architecture, recipe: Dense, image_size: int) -> int:
    """Numbers in encoder and resamplers."""
    sized = architecture.model_copy(update={"image_size": image_size})
    width = architecture.width
    own = encoder_weights(sized, False, recipe.relative_positions, recipe.absolute_positions, tables=architecture.depth)
    scales = 0 if recipe.layer_scale is None else 2 * architecture.depth * width
    return own + scales + 3 * (4 * width**2 + width) + 4 * width


def detector_weights(architecture: Architecture, recipe: Detect, classes: int) -> int:
    """Numbers in a detector's checkpoint."""
    width, channels, anchors = architecture.width, recipe.channels, len(recipe.proposals.anchor_ratios)
    neck = len(LEVELS) * (channels * (width + 1) + channels * (9 * channels + 1))
    proposing = channels * (9 * channels + 1) + 5 * anchors * (channels + 1)
    boxes, masks = recipe.boxes, recipe.masks
    outputs = (classes + 1) + 4 * (1 if boxes.class_agnostic else classes + 1)
    box = (
        boxes.convolutions * (9 * channels**2 + 4 * channels) + boxes.hidden * (channels * boxes.size**2 + 1) + outputs * (boxes.hidden + 1)
    )
    mask = masks.convolutions * channels * (9 * channels + 1) + channels * (4 * channels + 1) + (classes + 1) * (channels + 1)
    return pyramid_weights(architecture, recipe, recipe.image_size) + neck + proposing + len(recipe.cascade.stages) * (box + mask)


def segmenter_weights(architecture: Architecture, recipe: Segment, classes: int) -> int:
    """Numbers in a segmenter's checkpoint."""
    width, channels, auxiliary = architecture.width, recipe.head.channels or architecture.width, recipe.auxiliary.channels
    scales = len(recipe.head.pool_scales)
    convolutions = [width * channels] * (scales + 3) + [9 * channels * (width + scales * channels), 9 * 4 * channels**2]
    head = sum(convolutions) + 3 * 9 * channels**2 + 4 * channels * (scales + 8) + classes * (channels + 1)
    beside = 9 * width * auxiliary + 4 * auxiliary + classes * (auxiliary + 1)
    return pyramid_weights(architecture, recipe, recipe.augmentation.crop) + head + beside
