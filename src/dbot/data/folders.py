"""Folders of images: one set of rules, for data sets and for what `dbot embed` and `dbot predict` look at.

Links are followed. A folder that several ways lead to is read once, under the name where it really lies if that is
below the start; what leads above the start is not read. What is hidden, or what systems leave in people's folders, is
not read. All that is passed over is counted and named.
"""

import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize

from dbot.base.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
SYSTEMS_OWN = frozenset(
    (
        "__macosx",  # archives made on a Mac
        "lost+found",
        "@eadir",  # thumbnails of a Synology NAS, and its bin and snapshots
        "#recycle",
        "#snapshot",
        "@recycle",  # QNAP
        "$recycle.bin",  # Windows
        "system volume information",
        "thumbs.db",
        "desktop.ini",
    )
)
"""Names, in small letters, of what systems leave beside people's files; what begins with a dot is hidden anyway."""
NAMED = 3
"""How many things of a sort are named."""


@dataclass
class LeftOut:
    """What was passed over in a folder, relative to it."""

    endings: Counter[str] = field(default_factory=Counter)
    """Files that are no images, by their ending in small letters."""
    hidden: list[str] = field(default_factory=list)
    """Files and folders that are hidden, or a system's own."""
    links: list[str] = field(default_factory=list)
    """Links to folders that are read under another name, or that lie above the start."""
    dead: list[str] = field(default_factory=list)
    """Links that lead nowhere, and what is neither file nor folder (pipes, devices), be it behind a link. A link that leads nowhere and has
    an image's ending counts as an image that can't be read instead."""

    def __str__(self) -> str:
        """All of it in words, or nothing."""
        files = [f"{count} {ending or 'without an ending'}" for ending, count in sorted(self.endings.items())]
        sorts = {
            "hidden or a system's own": self.hidden,
            "links to folders that are read already or lie above": self.links,
            "links that lead nowhere, or no files": self.dead,
        }
        named = [f"{what}: {len(names)} ({_some(names)})" for what, names in sorts.items() if names]
        return printable("; ".join([", ".join(files), *named] if files else named))


@dataclass
class Found:
    """What lies in a folder and below it."""

    images: list[str] = field(default_factory=list)
    """Image files relative to the folder, with forward slashes, sorted."""
    folders: list[str] = field(default_factory=list)
    """Folders right below it that were read, sorted."""
    left_out: LeftOut = field(default_factory=LeftOut)


def walk(folder: Path, read: set[str] | None = None) -> Found:
    """The images in a folder and below it.

    Args:
        folder: where to start.
        read: real paths of folders that were read before; those read now are added.

    Raises:
        UserError: a folder can't be read, or the name of an image is not UTF-8.
    """
    walker = _Walk(str(folder), set() if read is None else read)
    walker.follow()
    found = walker.found
    found.images.sort()
    found.folders.sort()
    if not is_utf8(str(folder)):
        raise UserError(f"{printable(str(folder))}: the folder's name holds bytes that are not UTF-8; rename it")
    for name in found.images:
        if not is_utf8(name):
            raise UserError(f"{folder}: the file name {name!r} holds bytes that are not UTF-8; rename it")
    return found


def images_below(folder: Path) -> list[str]:
    """The image files in a folder and below it, relative to it, sorted; what is left out is said.

    Raises:
        UserError: it is no folder, holds no image, or can't be read.
    """
    if not folder.is_dir():
        raise UserError(f"{printable(str(folder))}: is not a folder; name one that holds images")
    found = walk(folder)
    if left_out := str(found.left_out):
        print(f"{folder}: left out: {left_out}", flush=True)
    if not found.images:
        raise UserError(f"{folder}: holds no image ({', '.join(SUFFIXES)}); name a folder that does")
    return found.images


def holds_folders(folder: Path) -> bool:
    """Whether any folder right below it would be read."""
    return any(entry.is_dir() and not is_passed_over(entry.name) for entry in os.scandir(folder))


def is_passed_over(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or a system's own."""
    return name.startswith(".") or name.lower() in SYSTEMS_OWN


def is_utf8(text: str) -> bool:
    """Whether a name can be written down as text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain(name: str) -> str:
    """A name without what tells apart those that look the same: capitals, and how Unicode writes letters with marks."""
    return normalize("NFC", name).casefold()


def printable(text: str) -> str:
    """A name as it can be shown: bytes that are not UTF-8 become ``\\udcff``."""
    return text.encode("utf-8", "backslashreplace").decode()


@dataclass
class _Walk:
    """Reads a folder: real folders first, then what links lead to, in the order of the links' names."""

    start: str
    read: set[str]
    found: Found = field(default_factory=Found)
    links: list[str] = field(default_factory=list)
    """Links to folders that were come across and are not followed yet, relative to the start."""

    def follow(self) -> None:
        real = os.path.realpath(self.start)
        if real in self.read:
            self.found.left_out.links.append(self.start)
            return
        above = {real[:end] or "/" for end in (i for i, letter in enumerate(real) if letter == "/")}
        self._tree("", real)
        while self.links:
            links, self.links = sorted(self.links), []
            for name in links:
                target = os.path.realpath(f"{self.start}/{name}")
                if target in self.read or target in above:
                    self.found.left_out.links.append(name)
                else:
                    self._tree(name, target)

    def _tree(self, name: str, real: str) -> None:
        """A folder and the real ones below it; ``real`` is where it lies."""
        waiting = [(name, real)]
        while waiting:
            name, real = waiting.pop()
            if real in self.read:
                continue
            self.read.add(real)
            if name and "/" not in name:
                self.found.folders.append(name)
            prefix = f"{name}/" if name else ""
            try:
                entries = sorted(os.scandir(f"{self.start}/{name}" if name else self.start), key=lambda entry: entry.name)
            except OSError as error:
                where = printable(f"{self.start}/{name}")
                raise UserError(f"{where}: can't be read ({error.strerror}); mend its rights, or take it out") from None
            for entry in entries:
                below = prefix + entry.name
                if is_passed_over(entry.name):
                    self.found.left_out.hidden.append(below)
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append((below, f"{real.rstrip('/')}/{entry.name}"))
                elif entry.is_symlink() and _is_folder(entry):
                    self.links.append(below)
                else:
                    self._file(entry, below)

    def _file(self, entry: "os.DirEntry[str]", below: str) -> None:
        is_image = entry.name.lower().endswith(SUFFIXES)
        mode = stat.S_IFREG if entry.is_file(follow_symlinks=False) else _mode(entry)
        if not (is_image if mode is None else stat.S_ISREG(mode)):
            self.found.left_out.dead.append(below)
        elif is_image:
            self.found.images.append(below)
        else:
            self.found.left_out.endings[Path(entry.name).suffix.lower()] += 1


def _mode(entry: "os.DirEntry[str]") -> int | None:
    """The mode of what is there, behind a link too; None where it leads nowhere."""
    try:
        return entry.stat().st_mode
    except OSError:
        return None


def _is_folder(link: "os.DirEntry[str]") -> bool:
    mode = _mode(link)
    return mode is not None and stat.S_ISDIR(mode)


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (", …" if names[NAMED:] else "")
