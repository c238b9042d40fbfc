"""Checkpoint files: safetensors, with what the network is in the header."""

import json
import os
import re
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from dbot.base.errors import UserError
from dbot.base.files import READABLE

HEADER = "dbot"
FORMAT = 1
"""What a checkpoint's header is like; a higher number is of a version that this one can't read."""


def save(path: Path, weights: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write weights and a description; the same content gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    # One key, since safetensors doesn't promise an order of several.
    try:
        save_file(tensors, path, metadata={HEADER: json.dumps({**about, "format": FORMAT}, sort_keys=True)})
        path.chmod(READABLE)
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and description of a checkpoint.

    Raises:
        UserError: it is missing, no safetensors file, none of ours, or of a newer version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get(HEADER, "null"))
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"{path}: is not a checkpoint that can be read ({error}); restore it or run its job again") from None
    if not isinstance(about, dict):
        raise UserError(f"{path}: was not written by dbot (its header says nothing); use a checkpoint of this project")
    written = about.pop("format", FORMAT)
    if written != FORMAT:
        raise UserError(f"{path}: was written by a newer dbot (format {written}; this one reads {FORMAT}); update dbot to use it")
    return weights, about


def is_ours(path: Path) -> bool:
    """Whether a file is a checkpoint that `save` wrote."""
    try:
        with safe_open(path, framework="pt") as file:
            return HEADER in (file.metadata() or {})
    except (OSError, SafetensorError, ValueError):
        return False


def part(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights below a prefix, with the prefix cut off."""
    return {name[len(prefix) :]: tensor for name, tensor in weights.items() if name.startswith(prefix)}


def fill(network: nn.Module, weights: Mapping[str, Tensor], source: str, fresh: Set[str]) -> None:
    """Give a network its weights, all of them but the fresh ones, and no others.

    Raises:
        UserError: one is missing, unknown or of another shape.
    """
    own = network.state_dict()
    missing = sorted(set(own) - fresh - set(weights))
    unexpected = sorted(set(weights) - set(own))
    misshapen = sorted(n for n in set(own) & set(weights) if own[n].shape != weights[n].shape)
    for names, what in ((missing, "lacks"), (unexpected, "has the unknown"), (misshapen, "has another shape at")):
        if names:
            raise UserError(f"{source}: {what} {names[0]} ({len(names)} such); it belongs to another architecture than the row's")
    network.load_state_dict(weights, strict=False)
