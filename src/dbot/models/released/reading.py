"""Files of weights as data, never as code: safetensors, or pickles that may hold nothing but tensors and plain values."""

import argparse
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dbot.base.errors import UserError

ENVELOPES = ("model", "teacher", "state_dict", "module")
"""Keys under which training programs put the weights, beside optimizer and settings; the first one is taken."""

ZIP, PICKLE = b"PK\x03\x04", b"\x80"
"""How files of torch begin: those of today, and those from before 2020."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The weights in a file, by the names that the file gives them, in float32.

    Raises:
        UserError: the file can't be read, is cut off, holds an object that isn't data, or no weights.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); name a file of weights") from None
    content = _unpickled(path, start == ZIP) if start.startswith((ZIP, PICKLE)) else _safetensors(path)
    tensors = _weights(content)
    if not tensors:
        raise UserError(f"{path}: holds no weights by name, neither at its top nor under {', '.join(ENVELOPES)}; name a checkpoint")
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"{path}: is neither a checkpoint of torch nor safetensors ({error}); fetch it again") from None


def _unpickled(path: Path, is_zip: bool) -> Any:
    """The content of a pickle whose classes are torch's tensors, plain values and argparse's Namespace.

    Whatever else a pickle asks for is refused before it runs. Weights are read from the disk as
    they are used, since a file with its optimizer is three times its weights.
    """
    try:
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the age of a pickle; what it asks for is judged all the same
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(f"{path}: {_reason(str(error))}") from None


def _reason(message: str) -> str:
    """What torch says, which can be a page, as a part of one line."""
    if "TorchScript" in message:
        return "is a TorchScript program, not weights; where you trust it, save torch.jit.load(...).state_dict() and import that file"
    ask = "ask its source for safetensors or a plain state dict"
    asked = re.search(r"(?:GLOBAL|class:?|Unsupported global:) ([A-Za-z_][\w.]*\.[\w.]+)", message)
    if asked is not None:
        return f"holds a pickled object that is not data ({asked[1]}); nothing of it was run; {ask}"
    refused = re.search(r"(Unsupported operand \d+|WeightsUnpickler error: [^\n]+)", message)
    if refused is not None:
        return f"is a pickle that holds more than weights, or that torch did not write ({refused[1].strip()}); nothing of it was run; {ask}"
    first = " ".join(message.split()).partition(". ")[0]
    return f"is damaged or cut off, or no checkpoint of torch{f' ({first})' if first else ''}; fetch it again"


def _weights(content: Any) -> dict[str, Tensor]:
    if not isinstance(content, dict):
        return {}
    if not any(isinstance(value, Tensor) for value in content.values()):
        content = next((content[key] for key in ENVELOPES if isinstance(content.get(key), dict)), {})
    return {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
