"""Training state on disk: written whole, checked by digest, the last few kept."""

import hashlib
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import IO, Any

import torch
from torch.utils.serialization import config

from dbot.base.digest import file_digest
from dbot.base.disk import concerns_disk, named, patiently
from dbot.base.errors import UserError

FORMAT = 3
"""What a state is like; counted up when the loop keeps something else."""
_NAME = re.compile(r"step-(\d+)-([0-9a-f]{16})\.pt$")


class StateStore:
    """The states of one job in a folder of its own.

    A state's name holds its step and the digest of its bytes, so a file that was cut short or
    changed is found before it is used, and the one before it is taken.
    """

    def __init__(self, folder: Path, keep: int, patience: float = 0.0) -> None:
        """The states in a folder.

        Args:
            folder: where they lie; one process at a time writes there.
            keep: how many.
            patience: for how many seconds a write is tried again while the disk is full or gone.
        """
        self.folder = folder
        self.keep = keep
        self.patience = patience

    def save(self, step: int, state: dict[str, Any], given_up: Event | None = None) -> Path:
        """Write a state of plain data and tensors, then drop the oldest beyond those kept.

        Args:
            step: how many steps have been taken.
            state: of then.
            given_up: set by another thread, it ends the patience.

        Raises:
            DiskRefused: the disk refuses for longer than the patience lasts; earlier states are as they were.
        """
        return patiently(lambda: self._save(step, state), self.patience, given_up)

    def _save(self, step: int, state: dict[str, Any]) -> Path:
        # One name, so that what a killed attempt left is written over: a state can be gigabytes.
        part = self.folder / ".state.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                hashed = Hashed(file)
                _write(state, hashed)
                file.flush()
                os.fsync(file.fileno())
            path = self.folder / f"step-{step:09d}-{_short(hashed.digest)}.pt"
            part.replace(path)
        except OSError as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise named(error, self.folder) from None
        for old in self._found()[self.keep :]:
            old.unlink(missing_ok=True)
        return path

    def load(self) -> tuple[int, dict[str, Any]] | None:
        """Step and content of the newest state that is whole, or None; says so if a newer one is not.

        Raises:
            UserError: another version wrote it.
        """
        for path in self._found():
            if is_whole(path):
                return read(path)
            print(f"warning: {path} is damaged (its digest differs); going on from the state before it", flush=True)
        return None

    def before(self, step: int) -> Path | None:
        """The newest state that has not yet taken a step, counted from 0."""
        return next((path for path in self._found() if _step(path) <= step), None)

    def pin(self, path: Path) -> Path:
        """A state under a name by which it is not dropped when newer ones are written."""
        pinned = path.with_name(f"pinned-{path.name}")
        if not pinned.exists():
            try:
                pinned.hardlink_to(path)
            except OSError:  # not every file system has links
                shutil.copyfile(path, pinned)
        return pinned

    def _found(self) -> list[Path]:
        """All states, the newest first."""
        if not self.folder.is_dir():
            return []
        return sorted((p for p in self.folder.iterdir() if _NAME.match(p.name)), key=_step, reverse=True)


class Hashed:
    """A file that is digested as it is written, so that nobody has to read it again."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self._hash = hashlib.sha256()

    def write(self, content: Any) -> int:
        self._hash.update(content)
        return self.file.write(content)

    def flush(self) -> None:
        self.file.flush()

    @property
    def digest(self) -> str:
        """SHA-256 of all that was written, in hex."""
        return self._hash.hexdigest()


def is_whole(path: Path) -> bool:
    """Whether a state is the one that was written under this name."""
    match = _NAME.search(path.name)
    return match is not None and _short(file_digest(path)) == match[2]


def read(path: Path) -> tuple[int, dict[str, Any]]:
    """Step and content of a whole state, its tensors in main memory: a device has no room for them beside what is trained.

    Raises:
        UserError: another version wrote it.
    """
    state = torch.load(path, map_location="cpu", weights_only=True)
    written = state.pop("format", None)
    if written != FORMAT:
        raise UserError(
            f"{path}: is a training state of another version of dbot (format {written}; this one reads {FORMAT}); "
            f"go on with that version, or remove {path.parent} to begin the job again"
        )
    return _step(path), state


def _step(path: Path) -> int:
    match = _NAME.search(path.name)
    assert match is not None
    return int(match[1])


def _write(state: dict[str, Any], stream: Any) -> None:
    try:
        # The digest stands for the archive's own sums, which torch would compute with all other threads halted.
        with config.patch({"save.compute_crc32": False}):  # type: ignore[attr-defined]
            torch.save({**state, "format": FORMAT}, stream)
    except RuntimeError as error:
        # What the disk said is in the chain of what torch says when it can't finish its archive.
        reason: BaseException | None = error
        while reason is not None and not concerns_disk(reason):
            reason = reason.__cause__ or reason.__context__
        raise (reason or error) from None


def _short(digest: str) -> str:
    return digest[:16]
