"""The digest of a folder: the names and bytes of its files, whatever their time stamps."""

import hashlib
from pathlib import Path

from dbot.record.digest import file_digest


def tree_table(folder: Path) -> bytes:
    """One line for each file, sorted: path relative to the folder, bytes, SHA-256, separated by tabs."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    rows = (f"{name}\t{(folder / name).stat().st_size}\t{file_digest(folder / name)}\n" for name in files)
    return ("path\tbytes\tsha256\n" + "".join(rows)).encode()


def table_digest(table: bytes) -> str:
    """SHA-256 of a tree's table: the tree's digest."""
    return hashlib.sha256(table).hexdigest()
