"""Have a process that has the libraries loaded do what a command line says: its start takes a tenth of a second, not three.

This is the side that asks, and needs nothing but Python; `dbot standby` is the side that answers. A job is the same either way, as
it is forked from a process that has loaded modules and done no more.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ADDRESS = "DBOT_STANDBY"
"""Variable with the path of the socket at which such a process listens; the workflow sets it for jobs on its own machine."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that libraries read as they are loaded, which is before a job is known."""
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
GONE = 1
"""The exit status where the process that answered has gone."""


def surroundings() -> dict[str, str]:
    """What must be alike on both sides: the installation, and what libraries have read as they were loaded."""
    return {"code": str(Path(__file__).parent), "python": sys.prefix, **{name: os.environ.get(name, "") for name in THREADS}}


def done_there(arguments: Sequence[str]) -> int | None:
    """Have a command line of `dbot` run by the process that stands by.

    It has this process's folder, environment and streams, and its own process group: signals are handed on to it, and it ends
    when this process does.

    Returns:
        Its exit status; None where nobody stands by for such a process as this.
    """
    address = os.environ.get(ADDRESS)
    if not address or "RANK" in os.environ:  # one process of several is its launcher's child
        return None
    with socket.socket(socket.AF_UNIX) as there:
        try:
            there.connect(address)
            asked = {
                "arguments": list(arguments),
                "folder": str(Path.cwd()),
                "environment": dict(os.environ),
                "surroundings": surroundings(),
            }
            content = json.dumps(asked).encode()
            socket.send_fds(there, [len(content).to_bytes(4)], [0, 1, 2])
            there.sendall(content)
            if there.recv(1) != b"y":
                return None
        except OSError:
            return None
        status = b""
        with _signals(lambda number: there.send(bytes([number]))), suppress(ConnectionError):
            status = there.recv(4)
    if not status:
        print(f"dbot {arguments[0]}: the process that it was forked from has gone; start it again", file=sys.stderr)
        return GONE
    return int.from_bytes(status, signed=True)


class _signals:
    """While entered, signals are handed on instead of being heeded; those that are ignored stay so."""

    def __init__(self, hand_on: Callable[[int], Any]) -> None:
        self.hand_on = hand_on

    def __enter__(self) -> None:
        self.before = {each: signal.signal(each, self._hear) for each in FORWARDED if signal.getsignal(each) != signal.SIG_IGN}

    def _hear(self, number: int, frame: Any) -> None:
        with suppress(OSError):
            self.hand_on(number)

    def __exit__(self, *exception: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


def die_of(status: int) -> int:
    """End as a process did whose status, negative, names the signal that ended it; another status is given back."""
    if status < 0:
        with suppress(OSError):  # some can't be heeded anyway
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status
