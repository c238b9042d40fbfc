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
from dbot.data.released import fault_of
from dbot.models.released.envelope import Say, silent, unwrapped

ZIP, PICKLE = b"PK\x03\x04", b"\x80"
"""How files of torch begin: those of today, and those from before 2020."""

CUT_OFF = "is damaged or cut off"


class Damaged(UserError):
    """A file is not what its source has: fetched again it may be whole."""


class PassedOver:
    """Stands for a plain value beside the weights, which nobody needs: nothing is made of what the file says of it."""

    def __init__(self, *said: object, **more: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def _passed_over(*said: object) -> PassedOver:
    return PassedOver()


PLAIN_VALUES: list[Any] = [
    argparse.Namespace,
    # Numbers and arrays of numpy, under its old and new names, and paths: not built, and nothing of numpy is called.
    *((_passed_over, f"numpy.{core}.multiarray.{name}") for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    *((_passed_over, f"numpy.{core}.numeric._frombuffer") for core in ("core", "_core")),
    *((PassedOver, name) for name in ("numpy.dtype", "numpy.ndarray")),
    *((PassedOver, f"pathlib.{name}") for name in ("Path", "PurePath", "PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath")),
]
"""What a pickle may hold beside torch's tensors and Python's plain values."""


def read_tensors(path: Path, entry: str | None = None, say: Say = silent) -> dict[str, Tensor]:
    """The weights in a file, by the names that the file gives them, in float32.

    Args:
        path: the file.
        entry: the dotted key below which they are (None: the usual ones are tried).
        say: told which were taken, and what was passed over.

    Raises:
        UserError: the file can't be read, is cut off, holds an object that isn't data, or no weights.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); name a file of weights") from None
    if (fault := fault_of(path)) is not None:
        raise Damaged(f"{path}: {fault}")
    content = _unpickled(path, start == ZIP) if start.startswith((ZIP, PICKLE)) else _safetensors(path)
    tensors = unwrapped(content, entry, str(path), say)
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError, ValueError) as error:
        raise Damaged(f"{path}: is neither a checkpoint of torch nor safetensors ({error}); fetch it again") from None


def _unpickled(path: Path, is_zip: bool) -> Any:
    """The content of a pickle whose classes are torch's tensors and `PLAIN_VALUES`.

    Whatever else a pickle asks for is refused before it runs. Weights are read from the disk as
    they are used, since a file with its optimizer is three times its weights.
    """
    try:
        with torch.serialization.safe_globals(PLAIN_VALUES), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the age of a pickle; what it asks for is judged all the same
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        reason = _reason(str(error))
        raise (Damaged if reason.startswith(CUT_OFF) else UserError)(f"{path}: {reason}") from None


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
    return f"{CUT_OFF}, or no checkpoint of torch{f' ({first})' if first else ''}; fetch it again"
