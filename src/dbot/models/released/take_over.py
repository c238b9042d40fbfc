"""A released file as a checkpoint of ours: all of it, or an error that names what is wrong."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dbot.models.asymmetric import Decoder
from dbot.models.released.figures import Shapes, figures, shown
from dbot.models.released.layouts import MAPS, detect, renamed, theirs
from dbot.models.released.reading import read_tensors
from dbot.models.timm_form import timm_form
from dbot.params.recipes import Decoder as DecoderConfig
from dbot.params.teachers import Architecture, Layout


def take_over(
    path: Path, layout: Layout | None = None, architecture: Architecture | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights of a released file under our names, and the description of the checkpoint that they make.

    Args:
        path: the file.
        layout: how it names its tensors (None: its names show it).
        architecture: what it should be (None: its shapes show it, but for the heads of unusual widths).

    Raises:
        UserError: it can't be read as data, or is anything else than one whole network of the layout.
    """
    tensors = read_tensors(path)
    layout = layout or detect(tensors, str(path))
    used, weights = MAPS[layout], renamed(tensors, layout, str(path))
    if used.design == "clip":
        _like_timm(weights)
    shapes = Shapes(weights, layout, str(path))
    found, image_size = figures(shapes, architecture)
    about: dict[str, Any] = {"kind": used.kind, "design": used.design, "architecture": found.model_dump(), "layout": layout}
    if (statistics := used.statistics or _statistics_beside(path)) is not None:
        about["normalisation"] = statistics
    if used.kind == "classifier":
        pooling = "average" if shapes.below("fc_norm.") else "class_token"
        classes = [str(number) for number in range(_outputs(weights, "head", 0))]  # the file doesn't name them
        about |= {"image_size": image_size, "pooling": pooling, "classes": classes}
    elif used.design == "clip":
        about["projection"] = _outputs(weights, "encoder.head", found.width)
    _check(shapes, _expected(shapes, about, found))
    return weights, about


def _statistics_beside(path: Path) -> dict[str, list[float]] | None:
    """The pixel statistics in the `config.json` that timm's files come with; None: there is none."""
    try:
        config = json.loads((path.parent / "config.json").read_bytes())
        stated = config.get("pretrained_cfg", config)
        return {key: [float(value) for value in stated[key]] for key in ("mean", "std")}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _like_timm(weights: dict[str, Tensor]) -> None:
    """CLIP's class token and positions have no batch dimension in its files, and its projection no bias."""
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
