"""Digests of files, of folders and of plain data."""

import hashlib
import json
from pathlib import Path
from typing import Any


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def canonical(data: Any) -> bytes:
    """The one JSON text of plain data: sorted keys, no spaces."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def data_digest(data: Any) -> str:
    """SHA-256 of plain data in its canonical form, in hex."""
    return hashlib.sha256(canonical(data)).hexdigest()


def tree_table(folder: Path) -> bytes:
    """A folder's table: one line for each file, sorted: path relative to the folder, bytes, SHA-256, separated by tabs.

    Whatever the time stamps of its files.
    """
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    rows = (f"{name}\t{(folder / name).stat().st_size}\t{file_digest(folder / name)}\n" for name in files)
    return ("path\tbytes\tsha256\n" + "".join(rows)).encode()


def table_digest(table: bytes) -> str:
    """SHA-256 of a folder's table: the folder's digest."""
    return hashlib.sha256(table).hexdigest()
