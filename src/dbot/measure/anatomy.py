"""Where a ViT keeps what is looked at here: its blocks, its heads, its grid."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

from timm.layers import Attention
from timm.models import beit
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from dbot.base.errors import UserError
from dbot.models.teachers.encoder import EncoderTeacher
from dbot.models.teachers.networks import NetworkTeacher


@dataclass(frozen=True)
class Anatomy:
    """A plain ViT, whatever is wrapped around it."""

    run: Callable[[Tensor], object]
    """Takes images (B, 3, H, W) through all blocks, once."""
    blocks: tuple[nn.Module, ...]
    """Each with its attention as ``attn``."""
    heads: int
    """Of every block."""
    width: int
    """Of a token."""
    prefix: int
    """Tokens before those of patches: class token, registers."""
    grid: tuple[int, int]
    """Patches along (height, width)."""
    patch: tuple[int, int]
    """A patch's (height, width) in pixels."""

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.blocks)


@singledispatch
def anatomy_of(network: nn.Module) -> Anatomy:
    """The anatomy of an encoder or classifier of either design, or of a teacher that is a plain ViT.

    An encoder takes normalised images, a teacher pixels.

    Raises:
        UserError: it is another kind of network, or has no block.
    """
    raise UserError(
        f"a {type(network).__name__} has no attention by layer and head; leave it out of the property analysis, which takes plain ViTs"
    )


@anatomy_of.register(VisionTransformer)
@anatomy_of.register(beit.Beit)
def _(network: Any) -> Anatomy:
    blocks = tuple(network.blocks)
    if not blocks:
        raise UserError("this network has no block, only its patch embedding; leave it out of the property analysis")
    for block in blocks:
        attention = getattr(block, "attn", None)
        if not isinstance(attention, Attention | beit.Attention):
            kind = type(block if attention is None else attention).__name__
            raise UserError(f"this ViT attends in a way of its own ({kind}); leave it out of the property analysis, which takes plain ViTs")
    return Anatomy(
        run=network.forward_features,
        blocks=blocks,
        heads=blocks[0].attn.num_heads,
        width=network.embed_dim,
        prefix=network.num_prefix_tokens,
        grid=tuple(network.patch_embed.grid_size),
        patch=tuple(network.patch_embed.patch_size),
    )


@anatomy_of.register
def _(network: EncoderTeacher) -> Anatomy:
    return replace(anatomy_of(network.encoder), run=network)


@anatomy_of.register
def _(network: NetworkTeacher) -> Anatomy:
    return replace(anatomy_of(network.network), run=network)
