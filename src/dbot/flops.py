"""FLOPs of an image and numbers of weights, by network, from its configuration alone. Loads no torch."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dbot.params.dense import Dense, Detect, Segment
from dbot.params.recipes import AsymmetricPretrain, SymmetricPretrain
from dbot.params.teachers import PLAIN, Architecture, RandomTeacher, Teacher, TimmTeacher


@dataclass(frozen=True)
class Cost:
    """FLOPs of the forward pass of one image."""

    first: float = 0.0
    """Of the first layer, whose input needs no gradient."""
    inner: float = 0.0
    """Of all other layers in the recipe's precision."""
    blocks: float = 0.0
    """Those of them that checkpointing computes once more in the backward pass: transformer blocks."""
    full: float = 0.0
    """Of layers that compute in float32 whatever the recipe says."""

    def __add__(self, other: "Cost") -> "Cost":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Cost(*(mine + theirs for mine, theirs in pairs))

    def inference(self, precision: str) -> "Flops":
        """A forward pass."""
        return Flops({precision: self.first + self.inner}) + Flops({"fp32": self.full})

    def training(self, precision: str, checkpointing: bool = False) -> "Flops":
        """Forward and backward; a layer's gradients cost as much as it does, once for its weights and once for its input."""
        return Flops({precision: 2 * self.first + 3 * self.inner + checkpointing * self.blocks}) + Flops({"fp32": 3 * self.full})


@dataclass(frozen=True)
class Flops:
    """FLOPs of one image by precision."""

    by_precision: Mapping[str, float] = field(default_factory=dict)

    def __add__(self, other: "Flops") -> "Flops":
        names = [*self.by_precision, *(name for name in other.by_precision if name not in self.by_precision)]
        return Flops({name: self.by_precision.get(name, 0.0) + other.by_precision.get(name, 0.0) for name in names})

    @property
    def total(self) -> float:
        return sum(self.by_precision.values())


def linear(rows: float, inputs: float, outputs: float) -> float:
    """A linear layer, or a 1x1 convolution, on so many rows (or places)."""
    return 2 * rows * inputs * outputs


def convolution(places: float, inputs: float, outputs: float, kernel: int) -> float:
    """A convolution that gives so many places."""
    return 2 * places * inputs * outputs * kernel**2


DECODER_MLP_RATIO = 4
TIMM = re.compile(r"_(tiny|small|base|large|huge)_patch(\d+)_")
TIMM_SIZES = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16), "huge": (1280, 32, 16)}
"""By the size in a plain ViT's name in timm: width, depth, heads."""
CLIP_PROJECTIONS = {"base": 512, "large": 768}
"""By the size in its name, the width that OpenAI's CLIP projects a ViT's tokens to."""


@dataclass(frozen=True)
class Frozen:
    """A network that is only run forward, the width of its tokens, and how many weights it has (0: not known)."""

    cost: Cost
    width: int
    weights: int = 0


def encoder(architecture: Architecture, patches: int, seen: int | None = None, depth: int | None = None) -> Cost:
    """A ViT on some patches of an image and a class token.

    Args:
        architecture: its configuration.
        patches: that are embedded.
        seen: that go through the blocks (default: all).
        depth: number of blocks (default: the architecture's).
    """
    tokens = 1 + (patches if seen is None else seen)
    blocks = (architecture.depth if depth is None else depth) * block(tokens, architecture.width, architecture.mlp_ratio)
    return Cost(linear(patches, 3 * architecture.patch_size**2, architecture.width), blocks, blocks)


def block(tokens: int, width: int, mlp_ratio: float) -> float:
    """A transformer block: queries, keys, values, two products of attention, projection, and an MLP of two layers."""
    return linear(tokens, width, 4 * width) + 2 * linear(tokens, width, tokens) + 2 * linear(tokens, width, mlp_ratio * width)


def classifier(architecture: Architecture, classes: int) -> Cost:
    """An encoder on the whole image, and a linear head."""
    return encoder(architecture, architecture.grid**2) + Cost(inner=linear(1, architecture.width, classes))


def student(architecture: Architecture, recipe: AsymmetricPretrain | SymmetricPretrain, target_width: int) -> Cost:
    """A student of either design, on one image."""
    patches = architecture.grid**2
    if isinstance(recipe, SymmetricPretrain):
        return encoder(architecture, patches) + Cost(inner=linear(1 + patches, architecture.width, target_width))
    visible, decoder = int(patches * (1 - recipe.mask_ratio)), recipe.decoder
    decoded = decoder.depth * block(1 + patches, decoder.width, DECODER_MLP_RATIO)
    between = linear(1 + visible, architecture.width, decoder.width) + linear(1 + patches, decoder.width, target_width)
    return encoder(architecture, patches, visible) + Cost(inner=decoded + between, blocks=decoded)


def foreign(teacher: Teacher) -> Architecture | None:
    """The sizes of a teacher from elsewhere, as far as its name in timm shows them; None: they are not known without building it."""
    if not isinstance(teacher, TimmTeacher) or PLAIN.match(teacher.model) is None or (found := TIMM.search(teacher.model)) is None:
        return None
    width, depth, heads = TIMM_SIZES[found[1]]
    depth = depth if teacher.block is None else teacher.block + 1
    patch = int(found[2])
    return Architecture(
        title=teacher.model, image_size=teacher.image_size, patch_size=patch, width=width, depth=depth, heads=heads, mlp_ratio=4.0
    )


def foreign_teacher(teacher: Teacher, image_size: int | None = None) -> Frozen | None:
    """A teacher from elsewhere on one image of its size or another; None: its sizes are not known."""
    architecture = foreign(teacher)
    if architecture is None or not isinstance(teacher, TimmTeacher):
        return None
    patches = ((image_size or architecture.image_size) // architecture.patch_size) ** 2
    found = TIMM.search(teacher.model)
    projection = CLIP_PROJECTIONS.get(found[1], architecture.width) if found and "clip" in teacher.model else architecture.width
    if not teacher.projection:
        return Frozen(encoder(architecture, patches), architecture.width, encoder_weights(architecture, False, False, True))
    cost = encoder(architecture, patches) + Cost(inner=linear(1 + patches, architecture.width, projection))
    return Frozen(cost, projection, encoder_weights(architecture, False, False, True))


def student_teacher(architecture: Architecture, grid: int, depth: int | None = None) -> Frozen:
    """A student's encoder, or as much of it as a random teacher keeps, on the patches of a grid."""
    kept = architecture if depth is None else architecture.model_copy(update={"depth": depth})
    return Frozen(encoder(kept, grid**2), architecture.width, encoder_weights(kept, False, False, True))


def random_teacher(architecture: Architecture, teacher: RandomTeacher) -> Frozen:
    """A teacher that was never trained."""
    return student_teacher(architecture, architecture.grid, teacher.depth)


def encoder_weights(architecture: Architecture, symmetric: bool, relative: bool, absolute: bool, tables: int = 1) -> int:
    """Numbers in an encoder without its final norm.

    Args:
        architecture: its configuration; its grid is that of the positions.
        symmetric: whether it has layer scale, and no biases of the keys.
        relative: whether it has tables of relative positions.
        absolute: whether it has absolute positions.
        tables: how many.
    """
    width, patches = architecture.width, architecture.grid**2
    hidden = int(architecture.mlp_ratio * width)
    biases_and_scales = 4 * width if symmetric else 3 * width
    each = 3 * width**2 + biases_and_scales + width**2 + width + 4 * width + 2 * width * hidden + hidden + width
    table = ((2 * architecture.grid - 1) ** 2 + 3) * architecture.heads
    whole = 3 * architecture.patch_size**2 * width + width + width + architecture.depth * each
    return whole + (relative * tables * table) + (absolute * (1 + patches) * width)


def student_weights(architecture: Architecture, recipe: AsymmetricPretrain | SymmetricPretrain, target_width: int) -> int:
    """Numbers in a student's checkpoint: encoder with its norm, and what predicts."""
    width = architecture.width
    if isinstance(recipe, SymmetricPretrain):
        own = encoder_weights(architecture, True, recipe.relative_positions, recipe.absolute_positions)
        return own + 2 * width + width + width * target_width + target_width
    decoder = recipe.decoder
    blocks = decoder.depth * (12 * decoder.width**2 + 13 * decoder.width)
    positions = (1 + architecture.grid**2) * decoder.width
    head = decoder.width * (width + 1) + decoder.width + 2 * decoder.width + target_width * (decoder.width + 1)
    return encoder_weights(architecture, False, False, True) + 2 * width + blocks + positions + head


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


def detector(
    architecture: Architecture, recipe: Detect, classes: int, height: float, width: float, training: bool, masks: bool = True
) -> Cost:
    """A Cascade Mask R-CNN, or Cascade R-CNN without mask heads, on one image; all above the pyramid is float32."""
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
    heads = samples * _box_head(recipe, classes) + (masked * _mask_head(recipe, classes) if masks else 0)
    return cost + Cost(full=neck + proposing + len(recipe.cascade.stages) * heads)


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


def detector_weights(architecture: Architecture, recipe: Detect, classes: int, masks: bool = True) -> int:
    """Numbers in a detector's checkpoint, with mask heads or without."""
    width, channels, anchors = architecture.width, recipe.channels, len(recipe.proposals.anchor_ratios)
    neck = len(LEVELS) * (channels * (width + 1) + channels * (9 * channels + 1))
    proposing = channels * (9 * channels + 1) + 5 * anchors * (channels + 1)
    boxes = recipe.boxes
    outputs = (classes + 1) + 4 * (1 if boxes.class_agnostic else classes + 1)
    box = (
        boxes.convolutions * (9 * channels**2 + 4 * channels) + boxes.hidden * (channels * boxes.size**2 + 1) + outputs * (boxes.hidden + 1)
    )
    mask = recipe.masks.convolutions * channels * (9 * channels + 1) + channels * (4 * channels + 1) + (classes + 1) * (channels + 1)
    heads = len(recipe.cascade.stages) * (box + (mask if masks else 0))
    return pyramid_weights(architecture, recipe, recipe.image_size) + neck + proposing + heads


def segmenter_weights(architecture: Architecture, recipe: Segment, classes: int) -> int:
    """Numbers in a segmenter's checkpoint."""
    width, channels, auxiliary = architecture.width, recipe.head.channels or architecture.width, recipe.auxiliary.channels
    scales = len(recipe.head.pool_scales)
    convolutions = [width * channels] * (scales + 3) + [9 * channels * (width + scales * channels), 9 * 4 * channels**2]
    head = sum(convolutions) + 3 * 9 * channels**2 + 4 * channels * (scales + 8) + classes * (channels + 1)
    beside = 9 * width * auxiliary + 4 * auxiliary + classes * (auxiliary + 1)
    return pyramid_weights(architecture, recipe, recipe.augmentation.crop) + head + beside
