"""Any of our checkpoints as a network of timm: the one place that knows which of its models and arguments that is.

Embedding and export build networks through it, and released files are checked against it.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import Tensor, nn

from dbot.base.errors import UserError
from dbot.models.checkpoint import part
from dbot.params.scales import Normalisation

MODELS = {
    "asymmetric": "vit_base_patch16_224",
    "symmetric": "beit_base_patch16_224",
    "clip": "vit_base_patch16_clip_quickgelu_224",
}
"""By design, a model of timm's registry with its norms and activation; the arguments give it any size."""


@dataclass(frozen=True)
class TimmForm:
    """What `timm.create_model` takes to build a network."""

    model: str
    arguments: dict[str, Any]

    @property
    def image_size(self) -> int:
        """Side of the images, in pixels."""
        return int(self.arguments["img_size"])

    def build(self) -> nn.Module:
        """The network, its weights drawn at random."""
        network: nn.Module = timm.create_model(self.model, pretrained=False, **self.arguments)
        return network

    def shapes(self) -> dict[str, torch.Size]:
        """Names and shapes of its weights."""
        with torch.device("meta"):
            return {name: tensor.shape for name, tensor in self.build().state_dict().items()}


def timm_form(about: Mapping[str, Any], names: Collection[str]) -> TimmForm:
    """The form of a checkpoint.

    A student or encoder becomes a network without a head, whose output is the mean of the normed
    patch tokens; a classifier keeps its pooling and its head.

    Args:
        about: the checkpoint's description.
        names: those of its weights in timm's terms, which say which positions a symmetric network has.
    """
    a, design = about["architecture"], design_of(about)
    arguments: dict[str, Any] = {
        "img_size": about.get("image_size", a["image_size"]),
        "patch_size": a["patch_size"],
        "embed_dim": a["width"],
        "depth": a["depth"],
        "num_heads": a["heads"],
        "mlp_ratio": a["mlp_ratio"],
    }
    if about["kind"] == "classifier":
        pooling = "avg" if about["pooling"] == "average" else "token"
        arguments |= {"num_classes": len(about["classes"]), "global_pool": pooling}
    elif design == "clip":
        arguments |= {"num_classes": about["projection"], "global_pool": "token"}
    else:
        norm_before_pooling = "fc_norm" if design == "asymmetric" else "use_fc_norm"
        arguments |= {"num_classes": 0, "global_pool": "avg", norm_before_pooling: False}
    if design == "symmetric":
        arguments |= {
            "use_abs_pos_emb": "pos_embed" in names,
            "use_shared_rel_pos_bias": any(name.startswith("rel_pos_bias.") for name in names),
            "use_rel_pos_bias": any(".attn.relative_position_bias_table" in name for name in names),
            "init_values": 0.1,
        }
    else:
        arguments |= {key: value for key, value in _unusual(about) if value}
    return TimmForm(MODELS[design], arguments)


def _unusual(about: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a network of others has that no student has, by timm's names."""
    yield "init_values", about.get("layer_scale") and 1e-5
    yield "reg_tokens", about.get("registers")
    yield "no_embed_class", about.get("positions") == "patches"
    yield "act_layer", {"gelu": "gelu", "quickgelu": "quick_gelu", None: None}[about.get("activation")]


def design_of(about: Mapping[str, Any]) -> str:
    """Which network a checkpoint holds: ``asymmetric`` (a plain ViT), ``symmetric`` or ``clip``."""
    return str(about.get("design") or about.get("recipe", {}).get("design", "asymmetric"))


def timm_weights(weights: dict[str, Tensor], about: Mapping[str, Any]) -> dict[str, Tensor]:
    """A checkpoint's weights under timm's names; what surrounds a student's encoder is left out."""
    return weights if about["kind"] == "classifier" else part(weights, "encoder.")


def as_timm(weights: dict[str, Tensor], about: Mapping[str, Any], source: str) -> tuple[nn.Module, TimmForm]:
    """A checkpoint as a network of timm in eval mode, and its form.

    Raises:
        UserError: it holds no network, or not all of one.
    """
    if about.get("kind") not in ("student", "encoder", "classifier"):
        raise UserError(f"{source}: holds no network (its kind is {about.get('kind')}); name a student, an encoder or a classifier")
    named = timm_weights(weights, about)
    form = timm_form(about, named)
    network = form.build()
    try:
        network.load_state_dict(named)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise UserError(f"{source}: is not the network that its header describes ({first}); run its job again") from None
    return network.eval(), form


def statistics_of(about: Mapping[str, Any], otherwise: Normalisation) -> Normalisation:
    """The pixel statistics that a checkpoint's network was trained with: its own if it names them, else the project's."""
    return Normalisation.model_validate(about["normalisation"]) if "normalisation" in about else otherwise


def evaluation_resize(image_size: int) -> float:
    """The short side before the central crop, over the crop's: 256 / 224 up to 224 px and 1 above, as published."""
    return 256 / 224 if image_size <= 224 else 1.0


def crop_share(image_size: int, resize: float) -> float:
    """The crop's side over the short side before it, from which timm's transform, which rounds down, has the side that ours has."""
    side = round(image_size * resize)
    share = image_size / side
    return share if math.floor(image_size / share) == side else math.nextafter(share, 0)


def hub_config(form: TimmForm, about: Mapping[str, Any], statistics: Normalisation, resize: float | None = None) -> dict[str, Any]:
    """The `config.json` with which `timm.create_model("local-dir:…")` builds the network and its transform.

    Args:
        form: of the network.
        about: what its checkpoint says of it.
        statistics: of the pixels that it takes.
        resize: the short side before the central crop, over the crop's, with which it was measured (default: as published).
    """
    classes = form.arguments["num_classes"]
    size = form.image_size
    config = {
        "architecture": form.model,
        "num_classes": classes,
        "num_features": form.arguments["embed_dim"],
        "global_pool": form.arguments["global_pool"],
        "model_args": form.arguments,
        "pretrained_cfg": {
            "input_size": [3, size, size],
            "fixed_input_size": True,
            "interpolation": "bicubic",
            "crop_pct": crop_share(size, resize or evaluation_resize(size)),
            "crop_mode": "center",
            "mean": statistics.mean,
            "std": statistics.std,
            "num_classes": classes,
            "pool_size": None,
            "first_conv": "patch_embed.proj",
            "classifier": "head",
        },
    }
    return {**config, "label_names": about["classes"]} if about["kind"] == "classifier" else config
