"""Where a released file is: in the user's folder, in the cache, or on the network."""

import filecmp
import json
import os
import re
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

from dbot.base.digest import file_digest
from dbot.base.errors import UserError
from dbot.base.files import write_whole
from dbot.params.teachers import ReleasedFile

CACHE = Path("data/released")
TIMEOUT_SECONDS = 60.0
AS_DECLARED, ON_FIRST_USE = "as declared", "on first use"
"""Why a file's bytes are trusted: params.yaml has their SHA-256, or whoever used them first noted it."""

PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|\?xml)", re.IGNORECASE)
POINTER = b"version https://git-lfs.github.com/spec/"


def locate(declared: ReleasedFile, weights_folder: str | None, download: bool = True) -> Path:
    """The path of a released file whose bytes are those declared, as far as digest and size are known.

    A local folder is asked first, then what was downloaded before, then the mirror, then where it was published.

    Args:
        declared: the file.
        weights_folder: a folder or the URL of one, or None.
        download: whether the network is asked for what is in no folder.

    What lies in the cache and can't be weights is fetched again.

    Raises:
        UserError: it is nowhere to be had, or is another file than declared.
    """
    mirror = weights_folder if weights_folder is not None and "://" in weights_folder else None
    folders = _folders(weights_folder)
    for folder in folders:
        path = folder / declared.file
        if path.is_file() and not (folder == CACHE and fault_of(path) is not None and forget(path)):
            return _checked(path, declared)
    if not download:
        places = " nor in ".join(map(str, folders))
        raise UserError(f"{declared.file}: is neither in {places}, and released.download is false; put it there, or set that to true")
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


def is_at_hand(declared: ReleasedFile, weights_folder: str | None) -> bool:
    """Whether something of its name lies where it is looked for before the network is asked."""
    return any((folder / declared.file).is_file() for folder in _folders(weights_folder))


def _folders(weights_folder: str | None) -> list[Path]:
    """Where a file may lie, in the order in which it is looked for."""
    return [CACHE] if weights_folder is None or "://" in weights_folder else [Path(weights_folder), CACHE]


def refuse_twins(path: Path, declared: ReleasedFile, others: Iterable[ReleasedFile]) -> None:
    """Refuse a file that lies beside itself under another file's name: one of the two is not what its name says.

    Raises:
        UserError: names both.
    """
    for beside in (path.with_name(other.file) for other in others if other.file != declared.file):
        if beside.is_file() and beside.stat().st_size == path.stat().st_size and filecmp.cmp(path, beside, shallow=False):
            raise UserError(f"{path}: is {beside.name} byte for byte, so one of them is another row's; get both anew")


def hold_to_first_use(path: Path, declared: ReleasedFile, noted: Path) -> str:
    """The SHA-256 of a file, which is the one of its first use where that is noted.

    Args:
        path: the file.
        declared: what is known of it.
        noted: what `note_first_use` wrote, if anything.

    Raises:
        UserError: it is another file than then, or the note can't be read.
    """
    digest = file_digest(path)
    if declared.sha256 is not None or not noted.is_file():
        return digest
    try:
        first = json.loads(noted.read_bytes())
        then, size = str(first["sha256"]), int(first["bytes"])
    except (ValueError, TypeError, KeyError):
        raise UserError(f"{noted}: is no note of a first use; `git checkout` restores it, or remove it to trust the file anew") from None
    if (digest, path.stat().st_size) != (then, size):
        now = f"SHA-256 {digest[:12]}…, {path.stat().st_size} bytes"
        raise UserError(
            f"{path}: is not the file of the first use ({now}; then {then[:12]}…, {size} bytes); "
            f"get that one again or, if this one is meant, remove {noted}"
        )
    return digest


def note_first_use(path: Path, digest: str, declared: ReleasedFile, noted: Path) -> None:
    """Write down which file was used, where whoever published it left that open and it isn't noted yet."""
    if declared.sha256 is None and not noted.is_file():
        found = {"file": declared.file, "bytes": path.stat().st_size, "sha256": digest, "trusted": ON_FIRST_USE}
        write_whole(noted, (json.dumps(found, indent=1) + "\n").encode())


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
