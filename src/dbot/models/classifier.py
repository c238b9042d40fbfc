"""The fine-tuned classifier of the asymmetric design, and what both designs' classifiers share: their head and their loading."""

from typing import TypeAlias

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from dbot.models.checkpoint import fill
from dbot.models.encoder import LayerNorm
from dbot.models.positions import resize_to_grid, sincos_positions
from dbot.models.symmetric import SymmetricViT, share_out
from dbot.params.teachers import Architecture

Classifier: TypeAlias = VisionTransformer | SymmetricViT
"""Of the asymmetric design, of the symmetric."""


def build_classifier(architecture: Architecture, classes: int, image_size: int, pooling: str, drop_path: float = 0.0) -> VisionTransformer:
    """A ViT classifier: the mean of the patch tokens, a LayerNorm of its own, a linear head.

    With ``pooling="class_token"`` the encoder's final norm and the class token instead. Its
    positions start at the sin-cos table and are trained.
    """
    classifier = VisionTransformer(
        img_size=image_size,
        patch_size=architecture.patch_size,
        embed_dim=architecture.width,
        depth=architecture.depth,
        num_heads=architecture.heads,
        mlp_ratio=architecture.mlp_ratio,
        num_classes=classes,
        global_pool="avg" if pooling == "average" else "token",
        drop_path_rate=drop_path,
        norm_layer=LayerNorm,
    )
    with torch.no_grad():
        classifier.pos_embed.copy_(sincos_positions(architecture.width, image_size // architecture.patch_size))
    return classifier


def initialise_head(classifier: Classifier, std: float, generator: torch.Generator) -> None:
    """Draw the head's weight from a normal distribution cut at two absolute units, and zero its bias."""
    nn.init.trunc_normal_(classifier.head.weight, std=std, generator=generator)
    nn.init.zeros_(classifier.head.bias)


def load_encoder(classifier: Classifier, encoder: dict[str, Tensor], source: str) -> None:
    """Take over a pre-trained encoder's weights; norm and head of the pooled features stay new.

    A table of relative positions that all blocks shared is copied into each of them; all
    positions are resized to the classifier's grid.

    Raises:
        UserError: the encoder is of another shape.
    """
    fresh = {name for name in classifier.state_dict() if name.startswith(("fc_norm.", "head."))}
    unused = {"norm.weight", "norm.bias"} - set(classifier.state_dict())
    _load(classifier, share_out(encoder, len(classifier.blocks)), source, fresh, unused)


def load_classifier(classifier: Classifier, weights: dict[str, Tensor], source: str) -> None:
    """Take over a fine-tuned classifier, its head included; positions are resized to the new grid.

    Raises:
        UserError: the classifier is of another shape.
    """
    _load(classifier, weights, source, set(), set())


def _load(classifier: Classifier, weights: dict[str, Tensor], source: str, fresh: set[str], unused: set[str]) -> None:
    weights = resize_to_grid({n: t for n, t in weights.items() if n not in unused}, classifier.patch_embed.grid_size[0])
    fill(classifier, weights, source, fresh)
