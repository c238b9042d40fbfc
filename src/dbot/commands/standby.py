"""Stand by with every library loaded, and fork the workflow's short jobs from here.

The workflow starts it for jobs that run on its own machine, and holds the other end of its standard input: once that is closed, it
takes no more jobs and ends with the last one.
"""

import argparse
import atexit
import gc
import importlib
import json
import multiprocessing
import os
import pkgutil
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import dbot
from dbot.base import standby
from dbot.base.errors import UserError
from dbot.lineage import surroundings

LIBRARIES = ("timm", "torchvision.transforms.v2", "matplotlib.pyplot", "faster_coco_eval", "scipy.optimize")
"""Those that modules load only when they need them. None may start a thread, which a fork would leave behind."""
FORK = multiprocessing.get_context("fork")


@dataclass
class Child:
    """A job at work, and whoever waits for it."""

    process: ForkProcess
    client: socket.socket


Main = Callable[[list[str]], int]
"""What does all that a command line says; its exit status."""


def arguments(parser: argparse.ArgumentParser, main: Main) -> None:
    parser.add_argument("socket", type=Path, metavar="SOCKET", help="where to listen: a path that does not exist yet")


def run(args: argparse.Namespace, main: Main) -> None:
    if sys.platform != "linux":
        raise UserError("standby: forks only on Linux what other systems' libraries forbid to fork; jobs start by themselves without it")
    load_all()
    serve(args.socket, main)


def load_all() -> None:
    """Load every module of this package and what they load when they first need it.

    The digest of the code is taken now: a job's receipt names the code that it ran, also where somebody edits a file meanwhile.
    """
    surroundings.code_digest()
    surroundings.environment()
    for found in pkgutil.walk_packages(dbot.__path__, f"{dbot.__name__}."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # pages that nobody writes to are shared by all


def serve(path: Path, main: Main) -> None:
    """Fork a process for each request, until standard input is closed and the last has ended."""
    children: list[Child] = []
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as waiting:
        # A name that can be connected to from the moment that it is there.
        listener.bind(str(path.with_suffix(".new")))
        listener.listen(64)
        path.with_suffix(".new").rename(path)
        waiting.register(listener, selectors.EVENT_READ)
        waiting.register(sys.stdin, selectors.EVENT_READ)
        open_to_all = True
        while open_to_all or children:
            for key, _ in waiting.select():
                child: Child | None = key.data
                if key.fileobj is listener:
                    client, _ = listener.accept()
                    if (child := _begun(client, main, [listener, *(each.client for each in children)])) is None:
                        client.close()
                        continue
                    children.append(child)
                    waiting.register(child.process.sentinel, selectors.EVENT_READ, child)
                    waiting.register(client, selectors.EVENT_READ, child)
                elif child is None:
                    if not os.read(sys.stdin.fileno(), 1):
                        open_to_all = False
                        waiting.unregister(sys.stdin)
                        waiting.unregister(listener)
                        path.unlink(missing_ok=True)
                        with suppress(OSError):  # others have something there
                            path.parent.rmdir()
                elif child not in children:
                    continue  # it has just ended
                elif key.fd == child.process.sentinel:
                    for each in (child.process.sentinel, child.client):
                        with suppress(KeyError):
                            waiting.unregister(each)
                    children.remove(child)
                    _tell(child)
                elif not _hand_on(child):
                    waiting.unregister(child.client)


def _begun(client: socket.socket, main: Main, others: list[socket.socket]) -> Child | None:
    """A process at what a client asks for; None where that can't be done here, and the client starts by itself."""
    client.settimeout(5)
    streams: list[int] = []
    try:
        size, streams, _, _ = socket.recv_fds(client, 4, 3)
        content = b""
        while len(content) < int.from_bytes(size):
            if not (part := client.recv(1 << 16)):
                return None
            content += part
        asked = json.loads(content)
        if asked["surroundings"] != standby.surroundings() or len(streams) != 3:
            client.sendall(b"n")
            return None
        client.sendall(b"y")
        client.settimeout(None)
        process = FORK.Process(target=_work, args=(main, asked, streams, [*others, client]))
        process.start()
        return Child(process, client)
    except (OSError, ValueError):
        return None
    finally:
        for stream in streams:
            os.close(stream)


def _work(main: Main, asked: dict[str, Any], streams: list[int], sockets: list[socket.socket]) -> None:
    """In a forked process: take on the folder, environment and streams of whoever asked, and do what its command line says."""
    os.setpgid(0, 0)  # signals come by way of whoever asked, and once
    for each in sockets:
        each.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    for number in standby.FORWARDED:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.environ.pop(standby.ADDRESS)
    os.chdir(asked["folder"])
    sys.argv[1:] = asked["arguments"]
    try:
        raise SystemExit(main(asked["arguments"]))
    finally:
        atexit._run_exitfuncs()  # as the interpreter does, but not a forked process


def _hand_on(child: Child) -> bool:
    """Pass a signal to a job. False: its caller has gone, and it is killed, as it would be with the process that it stands for."""
    try:
        number = child.client.recv(1)
    except OSError:
        number = b""
    if child.process.is_alive():  # else it has just ended, and its number may be another's
        assert child.process.pid is not None
        os.kill(child.process.pid, number[0] if number else signal.SIGKILL)
    return bool(number)


def _tell(child: Child) -> None:
    """Tell whoever waits how a job has ended."""
    child.process.join()
    with suppress(OSError):  # it has gone
        child.client.sendall((child.process.exitcode or 0).to_bytes(4, signed=True))
    child.client.close()
    child.process.close()
