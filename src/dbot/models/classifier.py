"""The fine-tuned classifier: a plain ViT with pooled patch tokens and a linear head (timm's)."""

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from dbot.errors import UserError
from dbot.models.encoder import LayerNorm
from dbot.models.positions import resize_positions, sincos_positions
from dbot.params.architectures import Architecture


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


def initialise_head(classifier: VisionTransformer, std: float, generator: torch.Generator) -> None:
    """Draw the head's weight from a normal distribution cut at two absolute units, and zero its bias."""
    nn.init.trunc_normal_(classifier.head.weight, std=std, generator=generator)
    nn.init.zeros_(classifier.head.bias)


def load_encoder(classifier: VisionTransformer, encoder: dict[str, Tensor], source: str) -> None:
    """Take over a pre-trained encoder's weights; norm and head of the pooled features stay new.

    Raises:
        UserError: the encoder is of another shape.
    """
    fresh = {name for name in classifier.state_dict() if name.startswith(("fc_norm.", "head."))}
    unused = {"norm.weight", "norm.bias"} - set(classifier.state_dict())
    _load(classifier, encoder, source, fresh, unused)


def load_classifier(classifier: VisionTransformer, weights: dict[str, Tensor], source: str) -> None:
    """Take over a fine-tuned classifier, its head included; positions are resized to the new grid.

    Raises:
        UserError: the classifier is of another shape.
    """
    _load(classifier, weights, source, set(), set())


def _load(classifier: VisionTransformer, weights: dict[str, Tensor], source: str, fresh: set[str], unused: set[str]) -> None:
    weights = {name: tensor for name, tensor in weights.items() if name not in unused}
    own = classifier.state_dict()
    if "pos_embed" in weights and weights["pos_embed"].shape != own["pos_embed"].shape:
        weights["pos_embed"] = resize_positions(weights["pos_embed"], classifier.patch_embed.grid_size[0])
    missing = sorted(set(own) - fresh - set(weights))
    unexpected = sorted(set(weights) - set(own))
    misshapen = sorted(n for n in set(own) & set(weights) if own[n].shape != weights[n].shape)
    for names, what in ((missing, "lacks"), (unexpected, "has the unknown"), (misshapen, "has another shape at")):
        if names:
            raise UserError(f"{source}: {what} {names[0]} ({len(names)} such); it belongs to another architecture than the row's")
    classifier.load_state_dict(weights, strict=False)
