"""The symmetric design on timm's BEiT: a full sequence with mask tokens, relative positions, layer scale.

A student is an encoder and one linear layer. Its parts have the published names below
`encoder.`, except for the mask token and the layer that predicts.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from timm.models.beit import Attention, Beit, Block, RelativePositionBias
from timm.models.vision_transformer import Block as PlainBlock
from torch import Tensor, nn

from dbot.models.blocks import add_branch
from dbot.models.checkpointing import is_checkpointed
from dbot.models.encoder import LayerNorm, encode_all
from dbot.models.relative import TABLE
from dbot.params.teachers import Architecture

SHARED_TABLE = f"rel_pos_bias.{TABLE}"
STD = 0.02
"""Initial standard deviation for the published widths (BEiT's); narrow networks need a larger one to learn."""


@dataclass(frozen=True)
class Positions:
    """How a network of this design knows where a patch is."""

    relative: bool = True
    """By tables of biases on the attention."""
    absolute: bool = False
    """By learned embeddings."""

    @classmethod
    def of(cls, weights: Collection[str]) -> "Positions":
        """Those of a network with weights of these names."""
        return cls(any(name.endswith(TABLE) for name in weights), any(name.endswith("pos_embed") for name in weights))


class SymmetricViT(Beit):  # type: ignore[misc] # timm is untyped
    """timm's BEiT, with the published code's choice of what is not decayed."""

    def no_weight_decay(self) -> set[str]:
        """Positions and class token; timm exempts the tables of biases as well, the published code decays them."""
        return {"pos_embed", "cls_token"}


def build_symmetric_encoder(
    architecture: Architecture,
    positions: Positions,
    layer_scale: float = 1.0,
    image_size: int | None = None,
    depth: int | None = None,
    drop_path: float = 0.0,
) -> SymmetricViT:
    """An encoder with one table of biases for all blocks; its weights are timm's until `initialise_symmetric`.

    Args:
        architecture: its configuration.
        positions: what it has of them.
        layer_scale: initial value of the layer scale.
        image_size: side of the images in pixels (default: the architecture's).
        depth: number of blocks (default: the architecture's).
        drop_path: stochastic depth of the last block.
    """
    return SymmetricViT(
        **_figures(architecture, image_size, layer_scale, drop_path, positions),
        depth=architecture.depth if depth is None else depth,
        num_classes=0,
        global_pool="",
        use_shared_rel_pos_bias=positions.relative,
    )


def build_symmetric_classifier(
    architecture: Architecture,
    positions: Positions,
    layer_scale: float,
    classes: int,
    image_size: int,
    pooling: str,
    drop_path: float = 0.0,
) -> SymmetricViT:
    """A classifier with a table of biases in every block, the mean of the patch tokens, a LayerNorm of its own, a linear head.

    With ``pooling="class_token"`` the encoder's final norm and the class token instead.
    """
    return SymmetricViT(
        **_figures(architecture, image_size, layer_scale, drop_path, positions),
        depth=architecture.depth,
        num_classes=classes,
        global_pool="avg" if pooling == "average" else "token",
        use_rel_pos_bias=positions.relative,
    )


def _figures(
    architecture: Architecture, image_size: int | None, layer_scale: float, drop_path: float, positions: Positions
) -> dict[str, Any]:
    """What encoder and classifier share."""
    return {
        "img_size": image_size or architecture.image_size,
        "patch_size": architecture.patch_size,
        "embed_dim": architecture.width,
        "num_heads": architecture.heads,
        "mlp_ratio": architecture.mlp_ratio,
        "init_values": layer_scale,
        "drop_path_rate": drop_path,
        "norm_layer": LayerNorm,
        "use_abs_pos_emb": positions.absolute,
    }


class SymmetricStudent(nn.Module):
    """Predicts the teacher's features at every token from the image with mask tokens in it.

    Args:
        architecture: the encoder's configuration.
        positions: what it has of them.
        layer_scale: initial value of the layer scale.
        target_width: width of the teacher's features.
        drop_path: stochastic depth of the last block.
        shortcuts: leave out what can't change the outcome.
    """

    def __init__(
        self,
        architecture: Architecture,
        positions: Positions,
        layer_scale: float,
        target_width: int,
        drop_path: float = 0.0,
        shortcuts: bool = False,
    ) -> None:
        super().__init__()
        self.shortcuts = shortcuts
        self.encoder = build_symmetric_encoder(architecture, positions, layer_scale, drop_path=drop_path)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, architecture.width))
        self.predict = nn.Linear(architecture.width, target_width)

    def forward(self, images_BCHW: Tensor, masked_BN: Tensor) -> Tensor:
        """Predicted teacher features at the class token and all patches.

        Args:
            images_BCHW: normalised images.
            masked_BN: true where the student sees the mask token instead of the patch.

        Returns:
            (B, 1 + N, target width).
        """
        patches_BND = self.encoder.patch_embed(images_BCHW)
        seen_BND = torch.where(masked_BN.unsqueeze(-1), self.mask_token, patches_BND)
        prediction: Tensor = self.predict(self.encoder.norm(_through_blocks(self.encoder, seen_BND, self.shortcuts)))
        return prediction

    def no_weight_decay(self) -> set[str]:
        """Parameters that are not decayed besides biases and the one-dimensional ones."""
        return {f"encoder.{name}" for name in self.encoder.no_weight_decay()}


def _through_blocks(encoder: SymmetricViT, patches_BND: Tensor, shortcuts: bool = False) -> Tensor:
    """Tokens of the last block, class token first: (B, 1 + N, D)."""
    tokens_BLD = torch.cat([encoder.cls_token.expand(len(patches_BND), -1, -1), patches_BND], dim=1)
    if encoder.pos_embed is not None:
        tokens_BLD = tokens_BLD + encoder.pos_embed
    bias = None if encoder.rel_pos_bias is None else encoder.rel_pos_bias()
    for block in encoder.blocks:
        if shortcuts and not is_checkpointed(block):
            tokens_BLD = add_branch(tokens_BLD, partial(_attention, block, bias), block.drop_path1)
            tokens_BLD = add_branch(tokens_BLD, partial(_mlp, block), block.drop_path2)
        else:
            tokens_BLD = block(tokens_BLD, shared_rel_pos_bias=bias)
    return tokens_BLD


def _attention(block: Any, bias: Tensor | None, tokens_BLD: Tensor) -> Tensor:
    found: Tensor = block.gamma_1 * block.attn(block.norm1(tokens_BLD), shared_rel_pos_bias=bias)
    return found


def _mlp(block: Any, tokens_BLD: Tensor) -> Tensor:
    found: Tensor = block.gamma_2 * block.mlp(block.norm2(tokens_BLD))
    return found


@encode_all.register
def _(encoder: SymmetricViT, images_BCHW: Tensor, final_norm: bool) -> Tensor:
    tokens_BLD = _through_blocks(encoder, encoder.patch_embed(images_BCHW))
    return encoder.norm(tokens_BLD) if final_norm else tokens_BLD


def initialise_symmetric(module: nn.Module, generator: torch.Generator, std: float = STD) -> None:
    """Draw all weights of a student, encoder or classifier of this design anew (BEiT's initialisation).

    Weights, tokens and learned positions are normal with the standard deviation, cut at one of
    them; biases and tables are 0, norms 1 and 0, the layer scale is what the network was built
    with. The layers that end a branch of block l (from 1) are then divided by sqrt(2 l).

    Args:
        module: what to initialise, in place.
        generator: source of all draws, so that every process can make the same ones.
        std: the standard deviation.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            _draw(part.weight, generator, std)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.LayerNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
        elif isinstance(part, Block | Attention | RelativePositionBias):
            part.reset_parameters()
    for name, parameter in module.named_parameters():
        if name.rpartition(".")[2] in ("cls_token", "mask_token", "pos_embed"):
            _draw(parameter, generator, std)
    blocks = [part for part in module.modules() if isinstance(part, Block | PlainBlock)]
    with torch.no_grad():
        for number, block in enumerate(blocks, start=1):
            block.attn.proj.weight.div_((2 * number) ** 0.5)
            block.mlp.fc2.weight.div_((2 * number) ** 0.5)


def _draw(tensor: Tensor, generator: torch.Generator, std: float) -> None:
    nn.init.trunc_normal_(tensor, std=std, a=-std, b=std, generator=generator)


def share_out(weights: Mapping[str, Tensor], depth: int) -> dict[str, Tensor]:
    """An encoder's weights as a classifier has them: a copy of the shared table in every block (BEiT's rule)."""
    rest = {name: tensor for name, tensor in weights.items() if name != SHARED_TABLE}
    if SHARED_TABLE not in weights:
        return rest
    return rest | {f"blocks.{i}.attn.{TABLE}": weights[SHARED_TABLE].clone() for i in range(depth)}
