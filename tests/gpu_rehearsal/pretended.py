"""CUDA without a GPU, for as long as a test lasts: devices for autograd's engine, and what torch's Python asks before it uses them."""

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from unittest.mock import patch

import torch

from dbot.base.on_device import numbers_on

SOURCE = Path(__file__).with_suffix(".cpp")
TORCH = Path(torch.__file__).parent


def why_not() -> str | None:
    """Why this machine can't pretend. None: it can."""
    if torch.cuda.is_available():
        return "there is a GPU, which pretending would take from the other tests"
    return None if shutil.which("g++") else "there is no g++, which compiles what autograd asks of a device (pretended.cpp)"


@cache
def _library() -> ctypes.CDLL:
    """`pretended.cpp`, compiled for the torch at hand."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "pretended.so"
        libraries = [f"-L{TORCH / 'lib'}", "-lc10", "-ltorch_cpu"]
        options = ["-O1", "-std=c++20", "-shared", "-fPIC", f"-I{TORCH / 'include'}"]
        subprocess.run(["g++", *options, str(SOURCE), "-o", str(made), *libraries], check=True)
        return ctypes.CDLL(str(made))


@contextmanager
def pretended_cuda() -> Iterator[None]:
    """There is a CUDA device, as far as autograd and autocast ask.

    Backward passes run in the calling thread, so that a mode sees them and the Python frames that they come from.
    """
    library = _library()
    numbers_on.cache_clear()
    library.pretend()
    try:
        with (
            patch("torch.cuda.amp.common.amp_definitely_not_available", lambda: False),
            patch("torch.cuda.is_bf16_supported", lambda *args, **kwargs: True),
            patch("torch.cuda.get_device_capability", lambda *args: (9, 0)),
            torch.autograd.set_multithreading_enabled(False),
        ):
            yield
    finally:
        library.stop()
        numbers_on.cache_clear()  # a pretended tensor may not outlive its device


def replaced(stack: ExitStack, names: dict[str, Callable[..., object]]) -> None:
    """Put others in the place of what dotted names name, until the stack is left."""
    for name, other in names.items():
        stack.enter_context(patch(name, other))
