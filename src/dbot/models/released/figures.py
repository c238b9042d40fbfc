"""The figures of a network, read from the shapes of its weights."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from dbot.base.errors import UserError
from dbot.models.released.layouts import MAPS, theirs
from dbot.params.teachers import Architecture, Layout

HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16}
"""Attention heads by width, for ViT-Ti, S, B, L and H. Other networks must say: no shape of a plain ViT shows it."""

SIZES = {192: "Ti", 384: "S", 768: "B", 1024: "L", 1280: "H"}

CLIP_HEAD_WIDTH = 64

TABLE = "relative_position_bias_table"


@dataclass(frozen=True)
class Shapes:
    """Released weights under our names, and how to speak of them."""

    weights: Mapping[str, Tensor]
    layout: Layout
    source: str

    @property
    def prefix(self) -> str:
        """What our names of the encoder's weights begin with."""
        return "" if MAPS[self.layout].kind == "classifier" else "encoder."

    def of(self, name: str, dimensions: int) -> tuple[int, ...]:
        """The shape of a weight of the encoder.

        Raises:
            UserError: it is missing, or has another number of dimensions.
        """
        tensor = self.weights.get(self.prefix + name)
        their = theirs(self.prefix + name, self.layout)
        if tensor is None:
            raise self.error(f"lacks {their}")
        if tensor.ndim != dimensions or tensor.numel() == 0:
            raise self.error(f"{their} is {shown(tensor.shape)} and must have {dimensions} dimensions")
        return tuple(tensor.shape)

    def error(self, what: str) -> UserError:
        """The one line for a file that is not one whole network."""
        return UserError(f"{self.source}: {what} (layout {self.layout}); nothing was imported")

    def below(self, part: str) -> list[str]:
        """The encoder's names that begin so, without their prefix."""
        return [name.removeprefix(self.prefix) for name in self.weights if name.startswith(self.prefix + part)]


def shown(shape: tuple[int, ...]) -> str:
    """``192x48``."""
    return "x".join(map(str, shape))


@dataclass(frozen=True)
class Found:
    """What the shapes of weights show."""

    architecture: Architecture
    image_size: int
    """Side of the images that the positions are for, in pixels."""
    registers: int
    """Tokens between the class token and the patches."""
    only_patches: bool
    """Whether class token and registers have no positions."""
    assumed_heads: bool
    """Whether the number of heads is what is usual for the width."""


def figures(shapes: Shapes, architecture: Architecture | None, stated_heads: int | None = None) -> Found:
    """The architecture of released weights, and what else their shapes show.

    Args:
        shapes: the weights.
        architecture: what the user says that they are; None: it must show.
        stated_heads: how many heads the user says that they have; None: it must show, or what is usual is assumed.

    Raises:
        UserError: a weight that shows it is missing, the heads can't be known, or it isn't the given architecture.
    """
    width, _, _, patch_size = shapes.of("patch_embed.proj.weight", 4)
    depth = len({name.split(".")[1] for name in shapes.below("blocks.")})
    registers = shapes.of("reg_token", 3)[1] if shapes.below("reg_token") else 0
    grid, heads, only_patches = _positions(shapes, registers)
    if heads is not None and stated_heads not in (None, heads):
        raise shapes.error(f"has {heads} heads, where {stated_heads} are stated")
    usual = width // CLIP_HEAD_WIDTH if MAPS[shapes.layout].design == "clip" else HEADS.get(width)
    assumed = heads is None and stated_heads is None and architecture is None
    heads = heads or stated_heads or (usual if architecture is None else None)
    if heads is not None and width % heads:
        raise shapes.error(f"has width {width}, which is no multiple of {heads} heads")
    size = grid * patch_size
    found: dict[str, Any] = {"patch_size": patch_size, "width": width, "depth": depth}
    found["mlp_ratio"] = shapes.of("blocks.0.mlp.fc1.weight", 2)[0] / width
    if heads is not None:
        found["heads"] = heads
    if architecture is None:
        if not heads:
            raise UserError(
                f"{shapes.source}: its shapes (width {width}) don't show how many heads it has; "
                "name an architecture of params.yaml with --architecture, or their number with --heads (`heads` in a declaration)"
            )
        title = f"ViT-{SIZES.get(width, width)}/{patch_size}"
        return Found(Architecture(title=title, image_size=size, **found), size, registers, only_patches, assumed)
    # A classifier may have been fine-tuned at another size than its architecture's.
    for figure, value in {**found, **({} if MAPS[shapes.layout].kind == "classifier" else {"image_size": size})}.items():
        stated = getattr(architecture, figure)
        if stated != value:
            raise shapes.error(f"has {figure} {value:g}, where {architecture.title} has {stated:g}")
    return Found(architecture, size, registers, only_patches, assumed)


def _positions(shapes: Shapes, registers: int) -> tuple[int, int | None, bool]:
    """Patches along one side of the image, the heads if the positions show them, and whether only patches have positions."""
    only_patches = False
    tables = [name for name in shapes.below("") if name.endswith(TABLE)]
    if not tables:
        if MAPS[shapes.layout].design == "symmetric" and not shapes.below("pos_embed"):
            raise shapes.error(f"lacks rel_pos_bias.{TABLE}")
        rows, heads = shapes.of("pos_embed", 3)[1], None
        only_patches = math.isqrt(rows) ** 2 == rows
        patches = rows if only_patches else max(0, rows - 1 - registers)
        grid, square = math.isqrt(patches), math.isqrt(patches) ** 2 == patches
    else:
        # A row for each offset in two dimensions, and three for the class token; a column a head.
        rows, heads = shapes.of(tables[0], 2)
        grid = (math.isqrt(max(rows - 3, 0)) + 1) // 2
        square = (2 * grid - 1) ** 2 == rows - 3
    if not square or grid == 0:
        raise shapes.error("has positions that are not those of a square grid of patches")
    return grid, heads, only_patches
