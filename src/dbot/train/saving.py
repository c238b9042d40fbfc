"""Writing the training state while the training goes on.

The loop waits for a copy in main memory and for nothing else; one thread writes it. torch has
machinery of its own for this (`torch.distributed.checkpoint.async_save`): it spreads a state over
the files of many processes. Here one process has all of it, in one file with a digest.
"""

import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from dbot.train.state import StateStore


class Saver:
    """Writes states into a store, one at a time; those of which it is asked in the meantime wait for it."""

    def __init__(self, store: StateStore, every: float) -> None:
        """A thread that ends with the context.

        Args:
            store: where states go.
            every: seconds from one state to the next, at least.
        """
        self.store = store
        self.every = every
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="state")
        self._writing: Future[Path] | None = None
        self._given_up = Event()
        self._since = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let what is being written come to its end; with an error under way there is no patience with the disk any more."""
        try:
            if error is None:
                self.wait()
                return
            self._given_up.set()
            try:
                self.wait()
            except Exception as other:  # noqa: BLE001 (the first error is the one that is raised)
                print(f"warning: {other}", file=sys.stderr, flush=True)
        finally:
            self._thread.shutdown()

    def is_due(self) -> bool:
        """Whether it is time for a state, and none is being written; to be asked after every step. Says so once.

        Raises:
            DiskRefused: the last one could not be written.
        """
        if self._writing is not None and not self._writing.done():
            return False
        self.wait()
        due = time.monotonic() - self._since >= self.every
        if due:
            self._since = time.monotonic()
        return due

    def begin(self, step: int, changing: dict[str, Any], fixed: dict[str, Any]) -> None:
        """Begin to write a state, once the one before it is on the disk.

        Args:
            step: how many steps have been taken.
            changing: what the training goes on to change; it is copied first.
            fixed: what nobody changes any more.

        Raises:
            DiskRefused: the state before it could not be written.
        """
        self.wait()
        state = {**copied(changing), **fixed}
        self._writing = self._thread.submit(self.store.save, step, state, self._given_up)

    def write(self, step: int, state: dict[str, Any]) -> None:
        """Write a state, with nothing copied and the training at rest, after the one that is being written.

        Raises:
            DiskRefused: one of them could not be written.
        """
        self.wait()
        self.store.save(step, state)

    def wait(self) -> None:
        """Until what was begun is on the disk.

        Raises:
            DiskRefused: it could not be written.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()


def copied(state: Any) -> Any:
    """A nest of dicts, lists and tuples with copies of its tensors in main memory, as they are at this moment."""
    copies = _copied(state)
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return copies


def _copied(value: Any) -> Any:
    """The same, as soon as the device has come to it: all copies are on their way before anybody waits."""
    if isinstance(value, Tensor):
        if value.device.type == "cpu":
            return value.detach().clone()
        # Only what the system can't page out is copied by the device on its own.
        pinned = torch.empty_like(value, device="cpu", pin_memory=True, requires_grad=False)
        return pinned.copy_(value.detach(), non_blocking=True)
    if isinstance(value, dict):
        made = copy(value)  # a module's state carries an attribute
        for name, part in value.items():
            made[name] = _copied(part)
        return made
    if isinstance(value, list | tuple):
        return type(value)(_copied(part) for part in value)
    return value
