"""`dbot` in processes that can be killed: at a moment, or in the middle of a write.

A write is anything that changes what lies on the disk below the
project: a file opened for writing, a rename, a removal, an fsync. A process that is to die at a
write leaves half of the file behind, as one does that is cut off while it writes.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.processes import PROCESSES

CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
ANSWER_SECONDS = 300
"""A hanging process fails the test."""


class Writes:
    """Counts the writes of this process below a folder, and kills it at one of them."""

    def __init__(self, folder: Path, last: int | None) -> None:
        self.folder = folder
        self.last = last
        self.count = 0
        self._busy = False
        self._fsync = os.fsync

    def watch(self) -> None:
        sys.addaudithook(self._hear)
        os.fsync = self._synced

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self._busy:
            return
        if event == "open":
            path, _, flags = args
            if isinstance(path, int) or not isinstance(flags, int) or not flags & CHANGES:
                return
            # Only a file that is written over can be left with half of what was in it.
            self._at(path, (lambda: _halve(Path(path))) if flags & os.O_TRUNC else None)
        elif event in ("os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.truncate"):
            self._at(args[0], None)

    def _synced(self, descriptor: int) -> None:
        self._at(Path(f"/proc/self/fd/{descriptor}").readlink(), lambda: os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2))
        self._fsync(descriptor)

    def _at(self, path: Any, damage: Callable[[], None] | None) -> None:
        if not Path(os.fsdecode(path)).absolute().is_relative_to(self.folder):
            return
        self.count += 1
        if self.count == self.last:
            self._busy = True
            if damage is not None:
                damage()
            os.kill(os.getpid(), signal.SIGKILL)


def _halve(path: Path) -> None:
    if path.is_file():
        os.truncate(path, path.stat().st_size // 2)


def _work(folder: Path, argv: list[str], last: int | None, tally: Path) -> None:
    os.chdir(folder)
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "DVC_"))]:
        del os.environ[name]
    os.environ.update(DVC_NO_ANALYTICS="1", MLFLOW_DISABLE_TELEMETRY="true")
    log = os.open(folder / "said.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["dbot", *argv]
    from dbot.cli import main

    writes = Writes(folder, last)
    writes.watch()
    status = main(argv)
    sys.stdout.flush()
    tally.write_text(str(writes.count))
    os._exit(status)


class Dbot:
    """Runs verbs in a project's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.writes = 0
        """Of the last one that came to its end."""

    def run(self, argv: list[str]) -> float:
        """Run to the end; returns seconds."""
        began = time.monotonic()
        process = self._start(argv, None)
        process.join(ANSWER_SECONDS)
        assert process.exitcode == 0, f"dbot {' '.join(argv)} ended with {process.exitcode}: {self.said()[-2000:]}"
        self.writes = int(self._tally.read_text())
        return time.monotonic() - began

    def killed_after(self, seconds: float, argv: list[str]) -> bool:
        """Kill at a moment; False: it had ended before."""
        process = self._start(argv, None)
        process.join(seconds)
        process.kill()
        return self._ended(process, argv)

    def killed_at(self, write: int, argv: list[str]) -> bool:
        """Kill at a write; False: it ended without so many."""
        process = self._start(argv, write)
        process.join(ANSWER_SECONDS)
        return self._ended(process, argv)

    def said(self) -> str:
        return (self.folder / "said.log").read_text() if (self.folder / "said.log").exists() else ""

    @property
    def _tally(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.writes")

    def _start(self, argv: list[str], last: int | None) -> Any:
        process = PROCESSES.Process(target=_work, args=(self.folder, argv, last, self._tally))
        process.start()
        return process

    def _ended(self, process: Any, argv: list[str]) -> bool:
        process.join(ANSWER_SECONDS)
        assert process.exitcode in (0, -signal.SIGKILL), f"dbot {' '.join(argv)} ended with {process.exitcode}: {self.said()[-2000:]}"
        return process.exitcode == -signal.SIGKILL
