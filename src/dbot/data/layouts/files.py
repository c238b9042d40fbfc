"""The files of a data set: those on disk, and those inside archives at its root as if they had been unpacked there.

Nothing is unpacked: an archive is indexed once, and a file's bytes are read from their place when they are asked for.
"""

import lzma
import os
import tarfile
import zipfile
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import BinaryIO

from dbot.base.errors import UserError
from dbot.base.files import read_file
from dbot.data.folders import SUFFIXES, Found, is_passed_over, walk
from dbot.data.layouts.listing import Read

ARCHIVES = (".zip", ".tar")
"""Endings of archives whose files can be read one by one. A compressed tar can't: it has to be read from its beginning."""
MOST_ARCHIVES = 20
"""Of a download that comes in parts. Where more lie together they are shards, and to index all of them takes long."""
MOST_FOLDERS = 20
"""Of a folder that may hold parts of a set. Where more lie together they are classes, and nothing is looked for in them."""
BROKEN = (
    OSError,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    RuntimeError,
    NotImplementedError,
    EOFError,
    ValueError,
)
"""What the standard library raises for archives that are damaged, encrypted, or compressed in a way that it doesn't know."""


@dataclass(frozen=True, slots=True)
class Extent:
    """A file inside an uncompressed archive: a stretch of its bytes."""

    archive: Path
    name: str
    offset: int
    size: int

    def __call__(self) -> bytes:
        try:
            with self.archive.open("rb") as stream:
                stream.seek(self.offset)
                content = stream.read(self.size)
        except OSError as error:
            raise UserError(f"{self.archive}: can't be read ({error.strerror}); restore it") from None
        if len(content) < self.size:
            raise UserError(f"{self.archive}: ends inside of {self.name}; get the whole archive again")
        return content


def _unzipped(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        return archive.read(member)
    except BROKEN as error:
        raise UserError(f"{archive.filename}: {member.filename} can't be read from it ({error}); get the archive again") from None


def archives(folder: Path) -> list[Path]:
    """The zip and tar files that lie in a folder, sorted."""
    named = (path for path in folder.iterdir() if path.name.lower().endswith(ARCHIVES) and not is_passed_over(path.name))
    return sorted(path for path in named if path.is_file())


def members(archive: Path) -> Mapping[str, Read]:
    """The files inside a zip or tar archive, by path, in its order; what would lead out of it is left out.

    Raises:
        UserError: the archive is damaged.
    """
    status = archive.stat()
    return _indexed(archive, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _indexed(archive: Path, size: int, changed: int) -> Mapping[str, Read]:
    try:
        found = _zip_members(archive) if archive.name.lower().endswith(".zip") else _tar_members(archive)
        return {name: read for name, read in found if _stays_inside(name)}
    except BROKEN as error:
        raise UserError(f"{archive}: is not an archive that can be read ({error}); get it again") from None


def _zip_members(path: Path) -> Iterator[tuple[str, Read]]:
    archive = zipfile.ZipFile(path)  # stays open: its files are read later
    for member in archive.infolist():
        if not member.is_dir():
            yield member.filename, partial(_unzipped, archive, member)


def _tar_members(path: Path) -> Iterator[tuple[str, Read]]:
    with path.open("rb") as stream:
        yield from tar_extents(path, stream)


def tar_extents(path: Path, stream: BinaryIO) -> Iterator[tuple[str, Extent]]:
    """The files of a tar that begins where ``stream``, the open file of ``path``, stands; it may itself lie inside another tar."""
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        for member in archive:
            if member.isreg() and member.sparse is None:
                yield member.name.removeprefix("./"), Extent(path, member.name, member.offset_data, member.size)
            archive.members = []  # type: ignore[attr-defined]  # tarfile keeps what it has seen, a kilobyte a file


def _stays_inside(name: str) -> bool:
    return not name.startswith(("/", "__MACOSX/")) and ".." not in name.split("/")


@dataclass(frozen=True)
class Files:
    """Files by their paths below a folder. What lies on disk hides what an archive holds under the same path."""

    root: Path
    inside: Mapping[str, Read] = field(default_factory=dict)
    """Those inside archives."""
    base: str = ""
    """Where they lie below the root of the data set."""
    walked: dict[Path, Found] = field(default_factory=dict, compare=False)
    """Folders on disk whose images were asked for."""

    @classmethod
    def at(cls, root: Path) -> "Files":
        """The files at a root, those of all archives that lie there included, unless they are too many."""
        inside: dict[str, Read] = {}
        found = archives(root)
        for archive in found if len(found) <= MOST_ARCHIVES else []:
            inside.update(members(archive))
        return cls(root, inside)

    @classmethod
    def holding(cls, root: Path, fit: Callable[["Files"], bool]) -> "Files | None":
        """The files that fit: those on disk, else, and only then, those in archives too, at the root or some levels down in them."""
        on_disk = cls(root)
        return on_disk if fit(on_disk) else cls.at(root).first(fit)

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self.inside)

    def _inside_folder(self, folder: str) -> list[str]:
        """The files of archives at any depth below a folder, relative to it, sorted."""
        prefix = f"{folder}/" if folder else ""
        first, last = bisect_left(self._sorted, prefix), bisect_left(self._sorted, f"{prefix}\U0010ffff")
        return [name[len(prefix) :] for name in self._sorted[first:last]]

    def has(self, path: str) -> bool:
        """Whether a file is there."""
        return (self.root / path).is_file() or path in self.inside

    def has_folder(self, folder: str) -> bool:
        """Whether a folder is there, be it empty."""
        return (self.root / folder).is_dir() or bool(self._inside_folder(folder))

    def read(self, path: str) -> bytes:
        """A file's bytes.

        Raises:
            UserError: it can't be read.
        """
        if path in self.inside and not (self.root / path).is_file():
            return self.inside[path]()
        try:
            return read_file(self.root / path)
        except OSError as error:
            raise UserError(f"{self.root / path}: can't be read ({error.strerror}); restore it") from None

    def lines(self, path: str) -> list[str]:
        """The lines of a text file that hold anything."""
        return [line for line in self.read(path).decode(errors="replace").splitlines() if line.strip()]

    def under(self, folder: str) -> "Files":
        """The files below a folder, by their paths from there."""
        if not folder:
            return self
        inside = {name: self.inside[f"{folder}/{name}"] for name in self._inside_folder(folder)}
        return Files(self.root / folder, inside, f"{self.base}/{folder}".lstrip("/"), self.walked)

    def first(self, fit: Callable[["Files"], bool], deep: int = 2) -> "Files | None":
        """The first that fits: these files, else those below a folder inside an archive, ``deep`` levels down at most."""
        if fit(self):
            return self
        tops = sorted({name.partition("/")[0] for name in self._sorted if "/" in name}) if deep else []
        return next((found for top in tops if (found := self.under(top).first(fit, deep - 1))), None)

    def folders(self, folder: str = "") -> list[str]:
        """Names of the folders in a folder, hidden ones left out, sorted."""
        names = {name.partition("/")[0] for name in self._inside_folder(folder) if "/" in name}
        if (self.root / folder).is_dir():
            names |= {entry.name for entry in os.scandir(self.root / folder) if entry.is_dir()}
        return sorted(name for name in names if not is_passed_over(name))

    def names(self, folder: str) -> list[str]:
        """The images at any depth below a folder, relative to it, sorted; what is passed over on disk, `left_out` says.

        Raises:
            UserError: a folder on disk can't be read.
        """
        found = {name for name in self._inside_folder(folder) if _is_image(name)}
        path = self.root / folder
        if path.is_dir():
            self.walked[path] = walk(path)
            found.update(self.walked[path].images)
        return sorted(found)

    def by_folder(self, folder: str) -> dict[str, list[str]]:
        """The images of each folder right below a folder, by its name, relative to it, sorted; folders may have none."""
        images = self.names(folder)
        names = {name.partition("/")[0] for name in self._inside_folder(folder) if "/" in name}
        if (self.root / folder) in self.walked:
            names |= set(self.walked[self.root / folder].folders)
        found: dict[str, list[str]] = {name: [] for name in sorted(names) if not is_passed_over(name)}
        for image in images:
            name, _, below = image.partition("/")
            if below:
                found[name].append(below)
        return found

    @property
    def left_out(self) -> list[str]:
        """What was passed over in the folders on disk whose images were asked for, a line each."""
        return [f"{folder}: left out: {said}" for folder, found in self.walked.items() if (said := str(found.left_out))]

    def packed(self, paths: Iterable[str]) -> dict[str, Read]:
        """Of some files, those that have to be read from archives."""
        return {path: self.inside[path] for path in paths if path in self.inside and not (self.root / path).is_file()}


def _is_image(path: str) -> bool:
    return path.lower().endswith(SUFFIXES) and not any(map(is_passed_over, path.split("/")))


def from_stem(path: str) -> str:
    """A path without the ending of its file."""
    return str(Path(path).with_suffix(""))
