"""A copy of prepared data on the node's own disk, made once and shared by all jobs that run there."""

import errno
import fcntl
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from dbot.base.digest import file_digest
from dbot.base.errors import UserError
from dbot.base.files import filled_in
from dbot.data.manifest import Manifest

READERS = 16
"""Threads that copy; small files of a network's file system come one round trip each."""
SPARE = 1.05
"""Room to ask for, as a multiple of the bytes to copy."""


def stage(manifest: Manifest, scratch: str) -> Manifest:
    """The manifest of a copy below ``scratch``, complete and checked, file by file, against the digests of the original.

    The first process on a node copies, the others wait for it. A copy that was cut off is finished by the next
    job: what it holds is checked and kept. Where the disk can't hold it, the original serves, and a line says so.

    Args:
        manifest: of the prepared data.
        scratch: folder on the node's own disk; ``~`` and ``$NAMES`` of environment variables are filled in.

    Raises:
        UserError: a variable in ``scratch`` is not set, or a file is not what the manifest says.
    """
    place = Path(filled_in(scratch))
    if "$" in str(place):
        raise UserError(
            f"site.yaml: scratch is {scratch}, but that variable is not set here; name a folder of the node's own disk, or null"
        )
    copy = place / f"dbot-{manifest.digest[:16]}"
    try:
        copy.mkdir(parents=True, exist_ok=True)
        with (place / f"{copy.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            complete = copy / ".complete"
            if not complete.exists():
                _require_room(manifest, copy)
                _fill(manifest, copy)
                complete.touch()
    except OSError as error:
        print(f"warning: {copy} can't hold a copy of the data ({error.strerror}); they are read from {manifest.root}", flush=True)
        return manifest
    return replace(manifest, root=copy)


def _files(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Every file that jobs read, relative to the root, and its SHA-256."""
    for row in manifest.rows(*manifest.counts):
        yield row.path, row.digest
        if row.annotation_digest:
            yield row.annotation, row.annotation_digest
    for file in manifest.annotation_files.values():
        yield file["path"], file["sha256"]


def _require_room(manifest: Manifest, copy: Path) -> None:
    needed = sum(row.bytes for row in manifest.rows(*manifest.counts)) * SPARE
    free = shutil.disk_usage(copy).free + sum(path.stat().st_size for path in copy.rglob("*") if path.is_file())
    if needed > free:
        raise OSError(errno.ENOSPC, f"{free / 1e9:.1f} GB are free, {needed / 1e9:.1f} needed")


def _fill(manifest: Manifest, copy: Path) -> None:
    files = dict(_files(manifest))
    size = sum(row.bytes for row in manifest.rows(*manifest.counts))
    print(f"copies {len(files):,} files ({size / 1e9:.2f} GB) from {manifest.root} to {copy}", flush=True)
    with ThreadPoolExecutor(READERS) as pool:
        for _ in pool.map(lambda file: _fetch(manifest.root / file[0], copy, *file), files.items()):
            pass


def _fetch(source: Path, root: Path, name: str, digest: str) -> None:
    """Copy one file to its place below the copy's root, unless it is there; in either case it has to have the digest."""
    target = root / name
    if not target.resolve().is_relative_to(root.resolve()):
        raise UserError(
            f"{source}: lies outside of its data set's root, so there is no place for its copy; set scratch in site.yaml to null"
        )
    if target.is_file() and file_digest(target) == digest:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(source, part)
    except FileNotFoundError:
        raise UserError(f"{source}: is missing, but the manifest lists it; restore it, or run `dbot prepare` again") from None
    if file_digest(part) != digest:
        part.unlink()
        raise UserError(f"{source}: is not what `dbot prepare` saw (its digest differs); restore it, or run `dbot prepare` again")
    part.replace(target)
