"""Two or more sides measured in turns, each in a process of its own, as it would run by itself."""

import importlib
import multiprocessing
import os
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from typing import Any

Numbers = dict[str, float]
"""What one measurement found, by name."""


class Side:
    """A process that has prepared a measurement, and makes it whenever it is asked."""

    def __init__(self, builder: str, arguments: Mapping[str, Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, builder, dict(arguments)), daemon=True)
        self._process.start()
        there.close()
        self._receive()

    def measure(self) -> Numbers:
        """One measurement; the other sides stand still meanwhile."""
        self._here.send("measure")
        return self._receive()

    def end(self) -> None:
        self._here.close()
        self._process.join()

    def _receive(self) -> Any:
        try:
            return self._here.recv()
        except EOFError:
            self._process.join()
            raise SystemExit("a side of the measurement has failed; what it said stands above") from None


def _serve(pipe: Connection, builder: str, arguments: dict[str, Any]) -> None:
    module, _, name = builder.rpartition(".")
    measure: Callable[[], Numbers] = getattr(importlib.import_module(module), name)(**arguments)
    pipe.send(None)
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        pipe.send(measure())


@contextmanager
def started(sides: Mapping[str, tuple[str, Mapping[str, Any]]]) -> Iterator[dict[str, Side]]:
    """Sides by name, of (the dotted name of a function that prepares a measurement, its arguments)."""
    with ExitStack() as stack:
        running = {}
        for name, (builder, arguments) in sides.items():
            running[name] = Side(builder, arguments)
            stack.callback(running[name].end)
        yield running


def in_turns(sides: Mapping[str, Side], rounds: int) -> dict[str, list[Numbers]]:
    """So many measurements of every side, one after the other in every round, after one round that is not counted."""
    found: dict[str, list[Numbers]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            numbers = side.measure()
            if number:
                found[name].append(numbers)
    return found


def median(found: list[Numbers], name: str) -> float:
    """The median of one number over the rounds."""
    return statistics.median(numbers[name] for numbers in found)


def ratio(of: list[Numbers], over: list[Numbers], name: str) -> tuple[float, float, float]:
    """The median, least and greatest ratio of two sides, round by round."""
    ratios = sorted(one[name] / other[name] for one, other in zip(of, over, strict=True))
    return statistics.median(ratios), ratios[0], ratios[-1]


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0))
