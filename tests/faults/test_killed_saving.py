"""`kill -9` while a state is being written and the training goes on: the next start ends as if nothing had happened."""

import os
import signal
import time
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch

from dbot.params.load import load
from dbot.train import state
from dbot.train.saving import Saver
from tests.conftest import PROJECT
from tests.faults.killing import ANSWER_SECONDS
from tests.processes import PROCESSES
from tests.train.small import Noise, execution_like, recipe_like, run, task_of, without_times

BYTES = (0.0, 0.001, 0.4, 0.9)
"""Of a state's bytes, those that are written when the kill comes."""
LATER = ("fsync", "rename", "removal")
"""What is about to be done then."""
ON = 2
"""Steps that are taken while the write stands still."""
EPOCHS = 20
"""Of two steps."""


class Stands:
    """A stand-in for the disk: at a place in the writing of one state it stops, and says so."""

    def __init__(self, folder: Path, number: int, place: float | str, size: int) -> None:
        """Stop at a state.

        Args:
            folder: of the states; the sign that it stands still lies beside it.
            number: which state, from 1.
            place: a share of its bytes, or what is about to be done.
            size: its bytes.
        """
        self.sign, self.number, self.place, self.size = sign(folder), number, place, size
        self.written = 0
        self.count = 0

    def watch(self) -> None:
        write, fsync, replace, unlink, begin = state.Hashed.write, os.fsync, Path.replace, Path.unlink, Saver.begin

        def writes(hashed: state.Hashed, content: Any) -> int:
            if isinstance(self.place, float) and self.is_it and self.written + len(content) > self.place * self.size:
                part = bytes(content)[: int(self.place * self.size) - self.written]
                write(hashed, part)
                hashed.flush()
                self.stand()
            self.written += len(content)
            return write(hashed, content)

        def begins(saver: Saver, *state: Any) -> None:
            saver.wait()
            self.count, self.written = self.count + 1, 0
            begin(saver, *state)

        def at(name: str, real: Any) -> Any:
            def does(*arguments: Any, **named: Any) -> Any:
                if self.place == name and self.is_it:
                    self.stand()
                return real(*arguments, **named)

            return does

        state.Hashed.write, Saver.begin = writes, begins  # type: ignore[method-assign]
        os.fsync = at("fsync", fsync)
        Path.replace, Path.unlink = at("rename", replace), at("removal", unlink)  # type: ignore[method-assign]

    @property
    def is_it(self) -> bool:
        return self.count == self.number

    def stand(self) -> None:
        self.sign.touch()
        Event().wait()


class Told(Noise):
    """Images that say on the disk how often they were asked for."""

    def __init__(self, count: int, asked: Path) -> None:
        super().__init__(count)
        self.asked = asked

    def __getitem__(self, where: tuple[int, int]) -> Any:
        with self.asked.open("ab") as stream:
            stream.write(b".")
        return super().__getitem__(where)


def sign(folder: Path) -> Path:
    return folder.with_name(f"{folder.name} stands")


def asked(folder: Path) -> Path:
    return folder.with_name(f"{folder.name} asked")


def _train(folder: Path, stands: Stands | None) -> None:
    torch.set_num_threads(1)
    demo = load(PROJECT / "params.yaml", "demo").params
    recipe = recipe_like(demo.recipes.pretrain["asymmetric-B"], drop_path=0.3, epochs=EPOCHS)
    if stands is not None:
        stands.watch()
    task = task_of(recipe, Told(20, asked(folder)))
    outcome = run(task, folder, execution_like(demo.execution, state_every_seconds=1e-9))
    torch.save({"weights": task.model.state_dict(), "history": without_times(outcome.history)}, folder.with_name(f"{folder.name}.pt"))


def ended(folder: Path) -> dict[str, Any]:
    """What a training leaves that comes to its end."""
    process = PROCESSES.Process(target=_train, args=(folder, None))
    process.start()
    process.join(ANSWER_SECONDS)
    assert process.exitcode == 0
    found: dict[str, Any] = torch.load(folder.with_name(f"{folder.name}.pt"), weights_only=True)
    return found


def killed(folder: Path, stands: Stands) -> None:
    """Kill it while it writes a state, and has taken steps since."""
    sign(folder).unlink(missing_ok=True)
    process = PROCESSES.Process(target=_train, args=(folder, stands))
    process.start()
    _until(sign(folder).exists, process)
    before = asked(folder).stat().st_size
    _until(lambda: asked(folder).stat().st_size >= before + 8 * ON, process)
    process.kill()
    process.join(ANSWER_SECONDS)
    assert process.exitcode == -signal.SIGKILL


def _until(there: Any, process: Any) -> None:
    for _ in range(100 * ANSWER_SECONDS):
        if there():
            return
        assert process.is_alive()
        time.sleep(0.01)
    process.kill()
    raise AssertionError("the training waits for its state")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int]:
    """What an undisturbed training leaves, and the bytes of its last state."""
    folder = tmp_path_factory.mktemp("saving") / "whole"
    return ended(folder), max(folder.iterdir()).stat().st_size


@pytest.mark.parametrize(
    "place", [BYTES[2], *(pytest.param(place, marks=[pytest.mark.faults, pytest.mark.slow]) for place in (*BYTES[:2], BYTES[3], *LATER))]
)
def test_a_training_that_is_killed_while_its_state_is_written_ends_like_another(tmp_path, whole, place):
    expected, size = whole
    folder = tmp_path / "states"
    number = 3 if place == "removal" else 2  # two are kept
    killed(folder, Stands(folder, number, place, size))
    half, states = folder / ".state.part", sorted(path.name.split("-")[1] for path in folder.glob("step-*"))
    if isinstance(place, float):
        assert half.stat().st_size == int(place * size)
    assert half.exists() == (place != "removal")
    assert len(states) == (3 if place == "removal" else 1)
    found = ended(folder)
    assert found["history"] == expected["history"]
    assert all(torch.equal(tensor, found["weights"][name]) for name, tensor in expected["weights"].items())
    assert not half.exists()


@pytest.mark.faults
@pytest.mark.slow
def test_however_often_that_is(tmp_path, whole):
    expected, size = whole
    folder = tmp_path / "states"
    for number, place in ((1, 0.5), (1, "rename"), (2, 0.7), (1, "fsync")):
        killed(folder, Stands(folder, number, place, size))
    found = ended(folder)
    assert found["history"] == expected["history"]
    assert all(torch.equal(tensor, found["weights"][name]) for name, tensor in expected["weights"].items())
