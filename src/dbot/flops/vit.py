"""Vision Transformers and the networks that students are made of: FLOPs of an image, and numbers of weights."""

import re
from dataclasses import dataclass

from dbot.flops.cost import Cost, linear
from dbot.params.architectures import Architecture
from dbot.params.recipes import AsymmetricPretrain, SymmetricPretrain
from dbot.params.teachers import PLAIN, RandomTeacher, Teacher, TimmTeacher

DECODER_MLP_RATIO = 4
TIMM = re.compile(r"_(tiny|small|base|large|huge)_patch(\d+)_")
TIMM_SIZES = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16), "huge": (1280, 32, 16)}
"""By the size in a plain ViT's name in timm: width, depth, heads."""
CLIP_PROJECTIONS = {"base": 512, "large": 768}
"""By the size in its name, the width that OpenAI's CLIP projects a ViT's tokens to."""


@dataclass(frozen=True)
class Frozen:
    """A network that is only run forward, and the width of its tokens."""

    cost: Cost
    width: int


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
        return Frozen(encoder(architecture, patches), architecture.width)
    return Frozen(encoder(architecture, patches) + Cost(inner=linear(1 + patches, architecture.width, projection)), projection)


def student_teacher(architecture: Architecture, grid: int, depth: int | None = None) -> Frozen:
    """A student's encoder, or as much of it as a random teacher keeps, on the patches of a grid."""
    return Frozen(encoder(architecture, grid**2, depth=depth), architecture.width)


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
