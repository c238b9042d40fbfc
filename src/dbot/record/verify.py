"""Re-hashing a chain: receipts, files, logs, images, and what DVC has on record."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dbot.errors import UserError
from dbot.plan import Job
from dbot.record.check import check
from dbot.record.digest import file_digest
from dbot.record.stages import recorded_digests

CHUNK = 256
"""Files that are handed to a thread at once."""
THREADS = 8


@dataclass
class Verified:
    """How much was found to match."""

    receipts: int = 0
    files: int = 0
    images: int = 0
    kept: int = 0
    """Files that are also the ones in DVC's lock files."""


def verify(jobs: list[Job], images: bool = True) -> Verified:
    """Verify jobs in the given order, which should be from the data to the cells.

    Args:
        jobs: each with a receipt.
        images: hash every image of a prepared data set as well.

    Raises:
        UserError: names the first thing that doesn't match.
    """
    found = Verified()
    recorded = recorded_digests()
    for job in jobs:
        receipt = check(job)
        found.receipts += 1
        names = [*receipt.identity.artifacts, *receipt.circumstances.logs]
        found.files += len(names)
        for path in (job.receipt, *(job.folder / name for name in names)):
            if path in recorded:
                _same_as_kept(path, recorded[path])
                found.kept += 1
        if images and job.verb == "prepare":
            found.images += _images(job)
    return found


def _same_as_kept(path: Path, md5: str) -> None:
    with path.open("rb") as stream:
        if hashlib.file_digest(stream, "md5").hexdigest() != md5:
            raise UserError(
                f"{path}: is not the file that dvc.lock has on record (MD5 differs); "
                "if the job ran again, run `dbot record` for its receipt, else `dvc checkout` restores it"
            )


def _images(job: Job) -> int:
    """Check every image, label map and annotation file of a prepared data set; returns how many."""
    manifest = json.loads((job.folder / "manifest.json").read_bytes())
    root = Path(manifest["root"])
    header, *lines = (job.folder / "samples.tsv").read_text(encoding="utf-8").rstrip("\n").split("\n")
    column = {name: i for i, name in enumerate(header.split("\t"))}
    files: list[tuple[str, str]] = [(file["path"], file["sha256"]) for file in manifest["annotation_files"].values()]
    for line in lines:
        cells = line.split("\t")
        files.append((cells[column["path"]], cells[column["digest"]]))
        if cells[column["annotation_digest"]]:
            files.append((cells[column["annotation"]], cells[column["annotation_digest"]]))
    parts = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    with ThreadPoolExecutor(THREADS) as pool:
        for problem in pool.map(lambda part: _first_problem(root, part), parts):
            if problem is not None:
                pool.shutdown(cancel_futures=True)
                raise UserError(f"{problem}; restore it, or run: {job.command}")
    return len(files)


def _first_problem(root: Path, files: list[tuple[str, str]]) -> str | None:
    for name, digest in files:
        path = root / name
        if not path.is_file():
            return f"{path}: is missing, and the data set's samples.tsv lists it"
        if file_digest(path) != digest:
            return f"{path}: is not the file in the data set's samples.tsv (SHA-256 differs)"
    return None
