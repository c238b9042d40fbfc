"""A lock between processes, held on a file."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_SECONDS = 0.05


@contextmanager
def locked(path: Path, seconds: float) -> Iterator[None]:
    """Hold the lock of ``path``, or raise TimeoutError when others hold it for longer than ``seconds``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + seconds
    with path.open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise TimeoutError(f"{path} was locked for {seconds:g} s") from None
                time.sleep(POLL_SECONDS)
        yield
