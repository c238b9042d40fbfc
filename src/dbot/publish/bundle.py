"""A bundle: what lies in it, by digest. A folder, or zips of one.

``bundle.json`` names every file with size and SHA-256, and is sealed over its own content, as executions are: against accident.
Whoever can write can seal anew; who vouched for a receipt is said by signatures beside it.
"""

import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import ValidationError

from dbot.base.digest import data_digest, file_digest
from dbot.base.errors import UserError
from dbot.base.files import write_whole
from dbot.lineage.receipt import Artifact, Part, artifact_of, unreadable

FORMAT: Literal["dbot bundle 1"] = "dbot bundle 1"
INDEX = "bundle.json"
MARKER = ".dbot-bundle"
"""Says that `dbot publish` wrote a folder and may replace it; it is not published."""
PART_BYTES = 4 * 10**9
"""As large as one zip becomes at most, so that an upload that was cut off has little to send again; a larger file has one of its own."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in a zip, which has no earlier one: the same bundle gives the same bytes."""


class Bundle(Part):
    """What a bundle says of itself."""

    format: Literal["dbot bundle 1"] = FORMAT
    seal: str
    """Digest of all that follows."""
    scale: str
    targets: list[str]
    """Names of the jobs that it was published for."""
    doi: str | None
    """Under which it is cited, if one was reserved."""
    files: dict[str, Artifact]
    """By path below its folder, every file but ``bundle.json``."""


def describe(folder: Path, scale: str, targets: Sequence[str], doi: str | None) -> Bundle:
    """Write ``bundle.json`` over all that lies in a folder."""
    files = {name: artifact_of(folder / name) for name in names(folder)}
    said = Bundle(seal="", scale=scale, targets=list(targets), doi=doi, files=files)
    made = said.model_copy(update={"seal": _digest(said)})
    write_whole(folder / INDEX, (made.model_dump_json(indent=1) + "\n").encode())
    return made


def names(folder: Path) -> list[str]:
    """The files of a bundle, but for its index, relative to its folder."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if name not in (INDEX, MARKER) and not name.startswith(".cache/"))


def read(folder: Path) -> Bundle:
    """What a bundle says of itself.

    Raises:
        UserError: it is none, was changed, or is of another version of dbot.
    """
    path = folder / INDEX
    if not path.is_file():
        raise UserError(f"{folder}: is no bundle, it holds no {INDEX}; name what `dbot publish` wrote")
    content = None
    try:
        content = path.read_bytes()
        found = Bundle.model_validate_json(content)
    except (OSError, ValidationError, ValueError) as error:
        raise UserError(unreadable(path, "bundle", FORMAT, error, content).partition(";")[0] + "; " + AGAIN) from None
    if found.seal != _digest(found):
        raise UserError(f"{path}: was changed after it was written (its seal doesn't match); {AGAIN}")
    for name in found.files:
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or "\\" in name or str(pure) != name:
            raise UserError(f"{path}: names {name!r}, which would lie outside of the bundle; don't restore it")
    return found


AGAIN = "get the bundle again, or use the version of dbot that wrote it"


def check(folder: Path, bundle: Bundle) -> None:
    """Compare every file of a bundle with its index.

    Raises:
        UserError: a line for each that is missing, was changed, or is not in the index.
    """
    problems = []
    for name, recorded in bundle.files.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{path}: is missing from the bundle; get it again")
        elif path.stat().st_size != recorded.bytes or file_digest(path) != recorded.sha256:
            problems.append(f"{path}: is not the file that was published (SHA-256 differs); get it again")
    for name in names(folder):
        if name not in bundle.files and name.split("/", 1)[0] in ("results", "logs"):
            problems.append(f"{folder / name}: was not published with this bundle, its {INDEX} doesn't name it; remove it")
    if problems:
        raise UserError(*problems)


def write_zips(folder: Path, target: Path, limit: int = PART_BYTES) -> list[Path]:
    """Write a bundle as one zip, or as several of at most some bytes; the same bundle gives the same bytes.

    Args:
        folder: of the bundle.
        target: name of the zip; of several, ``NAME-1-of-3.zip``.
        limit: bytes of files in one.

    Returns:
        The zips.
    """
    parts: list[list[str]] = [[]]
    size = 0
    for name in [INDEX, *names(folder)]:
        more = (folder / name).stat().st_size
        if size + more > limit and parts[-1]:
            parts.append([])
            size = 0
        parts[-1].append(name)
        size += more
    numbered = [target.with_name(f"{target.stem}-{i}-of-{len(parts)}.zip") for i in range(1, len(parts) + 1)]
    written = [target] if len(parts) == 1 else numbered
    for path, files in zip(written, parts, strict=True):
        part = path.with_name(f".{path.name}.part")
        with zipfile.ZipFile(part, "w") as archive:
            for name in files:
                entry = zipfile.ZipInfo(name, EPOCH)
                entry.external_attr = 0o100644 << 16
                with (folder / name).open("rb") as source, archive.open(entry, "w", force_zip64=True) as stream:
                    shutil.copyfileobj(source, stream, 2**20)
        part.replace(path)
    return written


@contextmanager
def opened(source: Path, room: Path) -> Iterator[Path]:
    """The folder of a bundle that lies in a folder or in zips, which are unpacked for as long.

    Args:
        source: the folder, the zip, or any one of several zips that lie together.
        room: a folder of the project's own to unpack in.

    Raises:
        UserError: it is neither, or a zip is cut off.
    """
    if source.is_dir():
        yield source
        return
    if not source.is_file():
        raise UserError(f"{source}: there is no such bundle; name a folder, a .zip, hf://NAMESPACE/NAME or doi:DOI")
    folder = room / "unpacked"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        for path in together(source):
            _unpack(path, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def together(source: Path) -> list[Path]:
    """The zips that a bundle lies in.

    Raises:
        UserError: one of them is not here.
    """
    found = re.fullmatch(r"(.*)-\d+-of-(\d+)\.zip", source.name)
    if found is None:
        return [source]
    paths = [source.with_name(f"{found[1]}-{i}-of-{found[2]}.zip") for i in range(1, int(found[2]) + 1)]
    if missing := [path for path in paths if not path.is_file()]:
        raise UserError(f"{missing[0]}: is missing, and holds a part of the bundle; put all {found[2]} zips into one folder")
    return paths


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if not entry.is_dir():
                    archive.extract(entry, folder)  # which takes `..` and the like out of names
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, ValueError) as error:
        raise UserError(f"{path}: is cut off or damaged, or no zip ({error}); get it again") from None


def _digest(bundle: Bundle) -> str:
    return data_digest(bundle.model_dump(exclude={"format", "seal"}))
