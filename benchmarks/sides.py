"""Two or more sides measured in turns, each in a process of its own, as it would run by itself."""

import importlib
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

Numbers = dict[str, float]
"""What one measurement found, by name."""
OTHERS = "cores kept busy by other work"


class Side:
    """A process that prepares a measurement, and then makes it whenever it is asked."""

    def __init__(self, builder: str, arguments: Mapping[str, Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        # No daemon, which could not start loaders; it ends when its pipe does.
        self._process = context.Process(target=_serve, args=(there, builder, dict(arguments)))
        self._process.start()
        there.close()

    def wait(self) -> None:
        """Until it is prepared."""
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
    multiprocessing.set_start_method(None, force=True)  # loaders start as they would in a program of their own
    module, _, name = builder.rpartition(".")
    measure: Callable[[], Numbers] = getattr(importlib.import_module(module), name)(**arguments)
    pipe.send(None)
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        pipe.send(_beside_others(measure))


def _beside_others(measure: Callable[[], Numbers]) -> Numbers:
    """A measurement, and with it how many cores other work kept busy meanwhile."""
    begun, all_before, own_before = time.perf_counter(), _busy(), sum(os.times()[:4])
    numbers = measure()
    others = _busy() - all_before - (sum(os.times()[:4]) - own_before)
    return {**numbers, OTHERS: max(0.0, others / (time.perf_counter() - begun))}


def _busy() -> float:
    """Seconds that the machine's cores have worked since it started, for whomever."""
    user, nice, system, _, _, interrupts, soft_interrupts, stolen = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + interrupts + soft_interrupts + stolen) / os.sysconf("SC_CLK_TCK")


@contextmanager
def started(sides: Mapping[str, tuple[str, Mapping[str, Any]]]) -> Iterator[dict[str, Side]]:
    """Sides by name, of (the dotted name of a function that prepares a measurement, its arguments)."""
    with ExitStack() as stack:
        running = {}
        for name, (builder, arguments) in sides.items():
            running[name] = Side(builder, arguments)
            stack.callback(running[name].end)
        for side in running.values():
            side.wait()
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


def disturbance(found: Mapping[str, list[Numbers]]) -> str:
    """In words, how busy other work kept this machine while all that was measured."""
    others = [numbers[OTHERS] for measured in found.values() for numbers in measured]
    middle, most = statistics.median(others), max(others)
    return f"Other work on the machine kept {middle:.2f} cores busy in the median measurement, {most:.2f} at most."


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0))
