"""Pickles as data, never code: only numpy arrays and plain Python values are let in."""

import codecs
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from dbot.base.errors import UserError


def read_plain_pickle(path: Path) -> Any:
    """The content of a pickle of plain values and numpy arrays, also one that Python 2 wrote.

    Raises:
        UserError: the file can't be read, or asks for anything else.
    """
    try:
        with path.open("rb") as stream:
            return _Plain(stream, encoding="latin1").load()
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); restore it from the source of the data set") from None
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        ImportError,
        MemoryError,
    ) as error:
        raise UserError(f"{path}: is not a pickle of plain data ({error}); restore it from the source of the data set") from None


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        # numpy moved its core to `_core`; files know either name.
        known = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("numpy._core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
            ("numpy._core.numeric", "_frombuffer"): np._core.numeric._frombuffer,  # type: ignore[attr-defined]
            ("_codecs", "encode"): _bytes,
        }
        try:
            return known[module.replace("numpy.core", "numpy._core"), name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not plain data") from None


def _bytes(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes into the pickle protocols of Python 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding}")
    return codecs.latin_1_encode(text)[0]
