"""A released file as a checkpoint of ours: all of it, or an error that names what is wrong."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dbot.models.asymmetric import Decoder
from dbot.models.released.envelope import Say, silent, without_wrappers
from dbot.models.released.figures import Found, Shapes, figures, shown
from dbot.models.released.layouts import BEIT_PIXELS, CLIP_PIXELS, MAPS, detect, renamed, theirs, usual_names
from dbot.models.released.reading import read_tensors
from dbot.models.timm_form import timm_form
from dbot.params.recipes import Decoder as DecoderConfig
from dbot.params.teachers import Activation, Architecture, Layout


@dataclass(frozen=True)
class Stated:
    """What a user says of a file that its names and shapes don't show, or show otherwise. None: they do, or the usual is assumed."""

    entry: str | None = None
    """The dotted key below which the weights are."""
    heads: int | None = None
    activation: Activation | None = None
    mean: list[float] | None = None
    """Of the pixels with which it was trained, by channel."""
    std: list[float] | None = None
    by_row: bool = False
    """Whether a row of the table says the rest, and nothing is assumed."""


def take_over(
    path: Path,
    layout: Layout | None = None,
    architecture: Architecture | None = None,
    stated: Stated = Stated(),
    say: Say = silent,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights of a released file under our names, and the description of the checkpoint that they make.

    Args:
        path: the file.
        layout: how it names its tensors (None: its names show it).
        architecture: what it should be (None: its shapes show it, but for the heads of unusual widths).
        stated: what else is said of it.
        say: told what was passed over, what was taken off and what is assumed, a line each.

    Raises:
        UserError: it can't be read as data, or is anything else than one whole network of the layout.
    """
    tensors = usual_names(without_wrappers(read_tensors(path, stated.entry, say), str(path), say))
    layout = layout or detect(tensors, str(path))
    used, weights = MAPS[layout], renamed(tensors, layout, str(path))
    _like_timm(weights, layout)
    shapes = Shapes(weights, layout, str(path))
    found = figures(shapes, architecture, stated.heads)
    beside = _config_beside(path)
    about: dict[str, Any] = {"kind": used.kind, "design": used.design, "architecture": found.architecture.model_dump(), "layout": layout}
    given = {"mean": stated.mean, "std": stated.std} if stated.mean is not None and stated.std is not None else None
    if (statistics := given or _statistics(beside) or used.statistics) is not None:
        about["normalisation"] = statistics
    if used.kind == "classifier":
        pooling = "average" if shapes.below("fc_norm.") else "class_token"
        classes = [str(number) for number in range(_outputs(weights, "head", 0))]  # the file doesn't name them
        about |= {"image_size": found.image_size, "pooling": pooling, "classes": classes}
    elif used.design == "clip":
        about["projection"] = _outputs(weights, "encoder.head", 0 if layout == "vit-clip" else found.architecture.width)
    about |= _unusual(shapes, found)
    activation = stated.activation or _activation(beside)
    if activation is not None and activation != ("quickgelu" if used.design == "clip" else "gelu"):
        if used.design == "symmetric":
            raise shapes.error(f"is of BEiT's design, which has no {activation}; leave the activation out")
        about["activation"] = activation
    _check(shapes, _expected(shapes, about, found.architecture))
    assumed = [f"{found.architecture.heads} heads (heads)"] if found.assumed_heads else []
    if activation is None and used.design != "symmetric":
        assumed.append(f"{'QuickGELU' if used.design == 'clip' else 'GELU'} (activation)")
    if given is None and not _statistics(beside):
        assumed.append(f"pixels normalised as {_whose(statistics)} (mean, std)")
    if assumed and not stated.by_row:
        how = "another is stated by that key in a declaration, or a flag of `dbot import` (--heads, --architecture)"
        say(f"{path}: assumed, since no shape shows it: {', '.join(assumed)}; {how}")
    return weights, about


def _unusual(shapes: Shapes, found: Found) -> dict[str, Any]:
    """What a plain network has that no student has."""
    if MAPS[shapes.layout].kind == "student" or MAPS[shapes.layout].design == "symmetric":
        return {}
    unusual = {
        "layer_scale": any(name.endswith("ls1.gamma") for name in shapes.below("blocks.")),
        "registers": found.registers,
        "positions": "patches" if found.only_patches else None,
    }
    return {key: value for key, value in unusual.items() if value}


def _whose(statistics: Mapping[str, Any] | None) -> str:
    known = {str(BEIT_PIXELS): "BEiT's were", str(CLIP_PIXELS): "CLIP's were"}
    return known.get(str(statistics), "`normalisation` in params.yaml says")


def _config_beside(path: Path) -> dict[str, Any]:
    """The `config.json` that timm's files come with; empty: there is none."""
    try:
        config = json.loads((path.parent / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def _statistics(config: Mapping[str, Any]) -> dict[str, list[float]] | None:
    """The pixel statistics that it names."""
    try:
        stated = config.get("pretrained_cfg", config)
        return {key: [float(value) for value in stated[key]] for key in ("mean", "std")}
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _activation(config: Mapping[str, Any]) -> Activation | None:
    """That of timm's towers of CLIP, whose names say it."""
    name = str(config.get("architecture", ""))
    return ("quickgelu" if "quickgelu" in name else "gelu") if "_clip_" in name else None


def _like_timm(weights: dict[str, Tensor], layout: Layout) -> None:
    """What other files have in another shape than timm.

    CLIP's class token and positions have no batch dimension, and its projection no bias; DINOv2's registers stand
    behind a class token with a position, and have none.
    """
    token, positions = weights.get("encoder.cls_token"), weights.get("encoder.pos_embed")
    if layout in ("dino", "dinov2") and "encoder.reg_token" in weights and token is not None and positions is not None:
        weights["encoder.cls_token"], weights["encoder.pos_embed"] = token + positions[:, :1], positions[:, 1:]
    if layout != "clip":
        return
    for name in ("encoder.cls_token", "encoder.pos_embed"):
        if name in weights:
            weights[name] = weights[name].reshape((1,) * (3 - weights[name].ndim) + tuple(weights[name].shape))
    if "encoder.head.weight" in weights:
        weights["encoder.head.bias"] = torch.zeros(len(weights["encoder.head.weight"]))


def _expected(shapes: Shapes, about: Mapping[str, Any], found: Architecture) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight that the network has."""
    weights = shapes.weights
    expected: dict[str, tuple[int, ...]] = {
        shapes.prefix + name: tuple(shape) for name, shape in timm_form(about, shapes.below("")).shapes().items()
    }
    if about["kind"] == "student" and about["design"] == "symmetric":
        target = _outputs(weights, "predict", found.width)
        expected |= {"mask_token": (1, 1, found.width), "predict.weight": (target, found.width), "predict.bias": (target,)}
    elif about["kind"] == "student":
        depth = len({name.split(".")[2] for name in weights if name.startswith("decoder.blocks.")})
        # Its heads show in no shape, and are needed for none.
        decoder = DecoderConfig(width=_outputs(weights, "decoder.embed", found.width), depth=depth, heads=1)
        built = Decoder(decoder, found.width, _outputs(weights, "decoder.predict", found.width), found.grid, 0.0)
        expected |= {f"decoder.{name}": tuple(tensor.shape) for name, tensor in built.state_dict().items()}
    return expected


def _outputs(weights: Mapping[str, Tensor], layer: str, otherwise: int) -> int:
    """Outputs of a linear layer, from whichever of its two tensors is there."""
    tensor = weights.get(f"{layer}.bias", weights.get(f"{layer}.weight"))
    return otherwise if tensor is None or tensor.ndim == 0 else len(tensor)


def _check(shapes: Shapes, expected: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse anything but exactly the expected weights."""
    weights = shapes.weights
    missing = [name for name in expected if name not in weights]
    unexpected = [name for name in weights if name not in expected]
    misshapen = [name for name in expected if name in weights and tuple(weights[name].shape) != expected[name]]
    if missing:
        what = f"lacks {theirs(missing[0], shapes.layout)}"
    elif unexpected:
        what = f"has {theirs(unexpected[0], shapes.layout)}, which its network doesn't have"
    elif misshapen:
        first = misshapen[0]
        what = f"{theirs(first, shapes.layout)} is {shown(tuple(weights[first].shape))} and must be {shown(expected[first])}"
    else:
        return
    more = len(missing or unexpected or misshapen) - 1
    raise shapes.error(what + (f", and {more} more like it" if more else ""))
