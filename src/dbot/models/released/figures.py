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


def figures(shapes: Shapes, architecture: Architecture | None) -> tuple[Architecture, int]:
    """The architecture of released weights, and the size of the images that their positions are for.

    Args:
        shapes: the weights.
        architecture: what the user says that they are; None: it must show.

    Raises:
        UserError: a weight that shows it is missing, the heads can't be known, or it isn't the given architecture.
    """
    width, _, _, patch_size = shapes.of("patch_embed.proj.weight", 4)
    depth = len({name.split(".")[1] for name in shapes.below("blocks.")})
    grid, heads = _positions(shapes)
    if MAPS[shapes.layout].design == "clip":
        heads = width // CLIP_HEAD_WIDTH
    size = grid * patch_size
    found: dict[str, Any] = {"patch_size": patch_size, "width": width, "depth": depth}
    found["mlp_ratio"] = shapes.of("blocks.0.mlp.fc1.weight", 2)[0] / width
    if heads is not None:
        found["heads"] = heads
    if architecture is None:
        if heads is None and width not in HEADS:
            raise UserError(
                f"{shapes.source}: its shapes (width {width}) don't show how many heads it has; "
                "name an architecture of params.yaml with --architecture"
            )
        title = f"ViT-{SIZES.get(width, width)}/{patch_size}"
        return Architecture(title=title, image_size=size, **{"heads": HEADS.get(width), **found}), size
    # A classifier may have been fine-tuned at another size than its architecture's.
    for figure, value in {**found, **({} if MAPS[shapes.layout].kind == "classifier" else {"image_size": size})}.items():
        stated = getattr(architecture, figure)
        if stated != value:
            raise shapes.error(f"has {figure} {value:g}, where {architecture.title} has {stated:g}")
    return architecture, size


def _positions(shapes: Shapes) -> tuple[int, int | None]:
    """Patches along one side of the image, and the heads if the positions show them."""
    tables = [name for name in shapes.below("") if name.endswith(TABLE)]
    if not tables:
        if MAPS[shapes.layout].design == "symmetric" and not shapes.below("pos_embed"):
            raise shapes.error(f"lacks rel_pos_bias.{TABLE}")
        patches = shapes.of("pos_embed", 3)[1] - 1
        grid, heads, square = math.isqrt(patches), None, math.isqrt(patches) ** 2 == patches
    else:
        # A row for each offset in two dimensions, and three for the class token; a column a head.
        rows, heads = shapes.of(tables[0], 2)
        grid = (math.isqrt(max(rows - 3, 0)) + 1) // 2
        square = (2 * grid - 1) ** 2 == rows - 3
    if not square or grid == 0:
        raise shapes.error("has positions that are not those of a square grid of patches")
    return grid, heads
