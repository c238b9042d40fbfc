"""Where a released file is: in the user's folder, in the cache, or on the network."""

import json
import os
import re
import shutil
import urllib.error
import urllib.request
import zipfile
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

from dbot.base.digest import file_digest
from dbot.base.errors import UserError
from dbot.params.teachers import ReleasedFile

CACHE = Path("data/released")
TIMEOUT_SECONDS = 60.0

PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|\?xml)", re.IGNORECASE)
POINTER = b"version https://git-lfs.github.com/spec/"


def locate(declared: ReleasedFile, weights_folder: str | None) -> Path:
    """The path of a released file whose bytes are those declared, as far as digest and size are known.

    A local folder is asked first, then what was downloaded before, then the mirror, then where it was published.

    Args:
        declared: the file.
        weights_folder: a folder or the URL of one, or None.

    What lies in the cache and can't be weights is fetched again.

    Raises:
        UserError: it is nowhere to be had, or is another file than declared.
    """
    mirror = weights_folder if weights_folder is not None and "://" in weights_folder else None
    folders = [CACHE] if mirror is not None or weights_folder is None else [Path(weights_folder), CACHE]
    for folder in folders:
        path = folder / declared.file
        if path.is_file() and not (folder == CACHE and fault_of(path) is not None and forget(path)):
            return _checked(path, declared)
    failures = []
    for url in (*([f"{mirror.rstrip('/')}/{declared.file}"] if mirror is not None else []), declared.url):
        try:
            return _download(url, declared)
        except (OSError, HTTPException, ValueError) as error:
            failures.append(f"{url} ({getattr(error, 'reason', None) or error})")
    raise UserError(
        f"{declared.file}: can't be fetched from {' or '.join(failures)}; put the file into {folders[0]}, "
        "or name the folder that holds it at released.weights_folder in params.yaml"
    )


def _download(url: str, declared: ReleasedFile) -> Path:
    CACHE.mkdir(parents=True, exist_ok=True)
    part = CACHE / f".{declared.file}.{os.getpid()}.part"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer, part.open("wb") as stream:
            print(f"fetching {url}", flush=True)
            shutil.copyfileobj(answer, stream, 1 << 20)
            announced = answer.headers.get("Content-Length")
        if announced is not None and part.stat().st_size != int(announced):
            raise OSError(f"the connection ended after {part.stat().st_size} of {announced} bytes")
        if (fault := fault_of(part)) is not None:
            raise OSError(fault)
        _checked(part, declared, url)
        part.replace(CACHE / declared.file)
    finally:
        part.unlink(missing_ok=True)
    return CACHE / declared.file


def _checked(path: Path, declared: ReleasedFile, source: str | None = None) -> Path:
    found = source or path
    if (fault := fault_of(path)) is not None:
        raise UserError(f"{found}: {fault}")
    if declared.bytes is not None and path.stat().st_size != declared.bytes:
        raise UserError(f"{found}: has {path.stat().st_size} bytes, and {declared.file} has {declared.bytes}; get it anew")
    if declared.sha256 is not None and (digest := file_digest(path)) != declared.sha256:
        raise UserError(
            f"{found}: is not {declared.file} (its SHA-256 is {digest[:12]}…, declared is {declared.sha256[:12]}…); get it anew"
        )
    return path


def fault_of(path: Path) -> str | None:
    """Why a file can't be weights, as far as its first bytes and its size show; None: nothing speaks against it.

    What a server sends in place of a file, and what is left of one that was cut off.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(1024)
        if not start:
            return "is empty; fetch it again"
        if PAGE.match(start):
            return "is a web page, not weights (a login, a notice, or a viewer's page); fetch the file itself, by its address for downloads"
        if start.startswith(POINTER):
            return "is a pointer of Git LFS, not the weights that it stands for; run `git lfs pull` there, or fetch the file itself"
        if start.startswith(b"PK\x03\x04"):
            return None if zipfile.is_zipfile(path) else f"is cut off after {size} bytes; fetch it again"
        return _cut_off(stream, start, size) if path.suffix == ".safetensors" or path.name.endswith(".part") else None


def forget(path: Path) -> bool:
    """Remove a file if it is one of the cache, so that it is fetched anew; says whether it was."""
    if path.parent != CACHE:
        return False
    path.unlink(missing_ok=True)
    return True


def _cut_off(stream: BinaryIO, start: bytes, size: int) -> str | None:
    """Whether a file of safetensors is shorter than its header says."""
    length = int.from_bytes(start[:8], "little")
    if start[8:9] != b"{":
        return None
    stream.seek(8)
    try:
        header = json.loads(stream.read(min(length, size))) if length <= size else {}
        whole = 8 + length + max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return None
    return f"is cut off after {size} of {whole} bytes; fetch it again" if size < whole else None
