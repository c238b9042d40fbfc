"""Where one process of several fails, all end, and one says why."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.processes import PROCESSES, free_port
from tests.train import failing

GUARD_SECONDS = 300
"""Processes that wait for one another for ever fail the test, and no sooner."""


def ended(case: str, rank: int, folder: Path, world: int) -> tuple[list[int], str]:
    """Statuses by rank, and what all have said on standard error, of processes of which one fails."""
    folder.mkdir()
    started = PROCESSES.Process(target=_failing, args=(case, rank, world, folder))
    started.start()
    assert started.pid is not None
    try:
        started.join(GUARD_SECONDS)
        assert started.exitcode == 0
    finally:
        with suppress(ProcessLookupError):  # all have ended
            os.killpg(started.pid, signal.SIGKILL)
    return [int(status) for status in (folder / "statuses").read_text().split()], (folder / "said").read_text()


def _failing(case: str, rank: int, world: int, folder: Path) -> None:
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(folder / "said", os.O_WRONLY | os.O_CREAT), 2)
    failing.main(case, rank, world, free_port(), folder)


@pytest.mark.parametrize("world", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("case", "rank", "why"),
    [
        ("not finite", 0, "test: the loss or a gradient stopped being finite in step"),
        ("picture", 1, "seven.png: is no image; restore it"),
        ("disk", 0, "file exists; a file lies where a folder should"),
    ],
)
def test_one_says_why_and_all_end(tmp_path, case, rank, why, world):
    statuses, said = ended(case, rank, tmp_path / "all", world)
    assert said.startswith("dbot failing: ")
    assert why in said
    assert said.count("\n") == 1, said
    assert len(statuses) == world
    assert statuses[rank] == 2
    assert all(statuses)


def test_a_picture_that_a_loader_cannot_read_is_said_without_its_traceback(tmp_path):
    statuses, said = ended("picture in a loader", 1, tmp_path / "all", 2)
    assert said == "dbot failing: seven.png: is no image; restore it\n"
    assert all(statuses)


def test_an_error_while_others_have_not_yet_begun_to_wait(tmp_path):
    statuses, said = ended("outputs", 1, tmp_path / "all", 2)
    assert said == "dbot failing: checkpoint: can't be written; make room\n"
    assert all(statuses)


def test_of_a_mistake_in_the_program_there_is_one_traceback(tmp_path):
    statuses, said = ended("bug", 1, tmp_path / "all", 2)
    assert said.count("Traceback") == 1
    assert said.endswith("ValueError: a bug\n")
    assert all(statuses)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_is_killed_takes_the_others_with_it(tmp_path, rank):
    statuses, _ = ended("killed", rank, tmp_path / "all", 2)
    assert statuses[rank] == -9
    assert all(statuses)
