"""Where a released file is: in the user's folder, in the cache, or on the network."""

import os
import shutil
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from dbot.base.digest import file_digest
from dbot.base.errors import UserError
from dbot.params.teachers import ReleasedFile

CACHE = Path("data/released")
TIMEOUT_SECONDS = 60.0


def locate(declared: ReleasedFile, weights_folder: str | None) -> Path:
    """The path of a released file whose bytes are those declared, as far as digest and size are known.

    A local folder is asked first, then what was downloaded before, then the mirror, then where it was published.

    Args:
        declared: the file.
        weights_folder: a folder or the URL of one, or None.

    Raises:
        UserError: it is nowhere to be had, or is another file than declared.
    """
    mirror = weights_folder if weights_folder is not None and "://" in weights_folder else None
    folders = [CACHE] if mirror is not None or weights_folder is None else [Path(weights_folder), CACHE]
    for folder in folders:
        if (folder / declared.file).is_file():
            return _checked(folder / declared.file, declared)
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
        _checked(part, declared, url)
        part.replace(CACHE / declared.file)
    finally:
        part.unlink(missing_ok=True)
    return CACHE / declared.file


def _checked(path: Path, declared: ReleasedFile, source: str | None = None) -> Path:
    found = source or path
    if declared.bytes is not None and path.stat().st_size != declared.bytes:
        raise UserError(f"{found}: has {path.stat().st_size} bytes, and {declared.file} has {declared.bytes}; get it anew")
    if declared.sha256 is not None and (digest := file_digest(path)) != declared.sha256:
        raise UserError(
            f"{found}: is not {declared.file} (its SHA-256 is {digest[:12]}…, declared is {declared.sha256[:12]}…); get it anew"
        )
    return path
