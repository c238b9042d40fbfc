"""The plain ViT encoder, from timm, and the two ways it is run: on all patches and on the visible ones."""

import math
from functools import partial, singledispatch

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from dbot.models.blocks import take, through
from dbot.models.positions import sincos_positions
from dbot.params.teachers import Architecture

LayerNorm = partial(nn.LayerNorm, eps=1e-6)


def build_encoder(
    architecture: Architecture, image_size: int | None = None, depth: int | None = None, drop_path: float = 0.0
) -> VisionTransformer:
    """A plain ViT with fixed sin-cos positions and no head; its weights are timm's until `initialise`.

    Args:
        architecture: its configuration.
        image_size: side of the images in pixels (default: the architecture's).
        depth: number of blocks (default: the architecture's); 0 leaves the patch embedding alone.
        drop_path: stochastic depth of the last block.
    """
    size = image_size or architecture.image_size
    encoder = VisionTransformer(
        img_size=size,
        patch_size=architecture.patch_size,
        embed_dim=architecture.width,
        depth=architecture.depth if depth is None else depth,
        num_heads=architecture.heads,
        mlp_ratio=architecture.mlp_ratio,
        num_classes=0,
        global_pool="",
        drop_path_rate=drop_path,
        norm_layer=LayerNorm,
    )
    encoder.pos_embed.requires_grad_(False)
    with torch.no_grad():
        encoder.pos_embed.copy_(sincos_positions(architecture.width, size // architecture.patch_size))
    return encoder


def embed_patches(encoder: VisionTransformer, images_BCHW: Tensor) -> Tensor:
    """Patch embeddings with their positions, without a class token: (B, N, D)."""
    patches_BND: Tensor = encoder.patch_embed(images_BCHW)
    placed_BND: Tensor = patches_BND + encoder.pos_embed[:, 1:]
    return placed_BND


def prepend_class_token(encoder: VisionTransformer, tokens_BND: Tensor) -> Tensor:
    """The class token with its own position, then the tokens: (B, 1 + N, D)."""
    class_token = encoder.cls_token + encoder.pos_embed[:, :1]
    return torch.cat([class_token.expand(len(tokens_BND), -1, -1), tokens_BND], dim=1)


@singledispatch
def encode_all(encoder: nn.Module, images_BCHW: Tensor, final_norm: bool) -> Tensor:
    """Tokens of the last block on the whole image, class token first: (B, 1 + N, D).

    Each kind of encoder says how, where it is defined.
    """
    raise TypeError(f"{type(encoder).__name__} is no encoder of this project")


@encode_all.register
def _(encoder: VisionTransformer, images_BCHW: Tensor, final_norm: bool) -> Tensor:
    tokens_BND = prepend_class_token(encoder, embed_patches(encoder, images_BCHW))
    for block in encoder.blocks:
        tokens_BND = block(tokens_BND)
    return encoder.norm(tokens_BND) if final_norm else tokens_BND


def encode_visible(encoder: VisionTransformer, images_BCHW: Tensor, keep_BK: Tensor, shortcuts: bool = False) -> Tensor:
    """Normed tokens of the visible patches, class token first: (B, 1 + K, D)."""
    visible_BKD = take(embed_patches(encoder, images_BCHW), keep_BK)
    tokens_BLD = through(encoder.blocks, prepend_class_token(encoder, visible_BKD), shortcuts)
    normed: Tensor = encoder.norm(tokens_BLD)
    return normed


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights of an encoder or decoder anew (MAE's initialisation).

    Linear weights are xavier-uniform with zero biases, norms 1 and 0, tokens normal with standard
    deviation 0.02; the patch embedding is xavier-uniform as the linear map that it is, its bias
    uniform within 1/sqrt(fan-in). Fixed position tables stay.

    Args:
        module: what to initialise, in place; anything with these parts.
        generator: source of all draws, so that every process can make the same ones.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight, generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.LayerNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Conv2d):
            nn.init.xavier_uniform_(part.weight.view(part.weight.shape[0], -1), generator=generator)
            if part.bias is not None:
                bound = 1 / math.sqrt(part.weight[0].numel())
                nn.init.uniform_(part.bias, -bound, bound, generator=generator)
    for name, parameter in module.named_parameters():
        if name.rpartition(".")[2] in ("cls_token", "mask_token"):
            nn.init.normal_(parameter, std=0.02, generator=generator)
