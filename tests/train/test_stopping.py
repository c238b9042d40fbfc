"""Leaving off: by signal or ahead of a time limit, all processes after the same step, and going on from there."""

import os
import signal
import time
from functools import partial

import pytest
import torch

from dbot.params.load import load
from dbot.train.stopping import END_OF_ALLOCATION, Interrupted
from tests.conftest import PROJECT
from tests.processes import together
from tests.train.small import Noise, execution_like, recipe_like, run, task_of

IMAGES = 20


def figures(**changes):
    demo = load(PROJECT / "params.yaml", "demo").params
    return recipe_like(demo.recipes.pretrain["asymmetric-B"], **changes), execution_like(demo.execution)


@pytest.fixture(autouse=True)
def _in_the_foreground():
    """A shell starts what runs in the background with SIGINT ignored: these tests may."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Calls(Noise):
    """Sends this process a signal when it loads a given image; not again."""

    def __init__(self, number, at):
        super().__init__(IMAGES)
        self.number, self.at, self.loaded = number, at, 0

    def __getitem__(self, where):
        self.loaded += 1
        if self.loaded == self.at:
            os.kill(os.getpid(), self.number)
        return super().__getitem__(where)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 143), (signal.SIGUSR1, 75)])
def test_a_signal_ends_the_job_with_a_status_that_says_whether_it_will_go_on(tmp_path, number, status):
    recipe, execution = figures()
    with pytest.raises(Interrupted) as left:
        run(task_of(recipe, Calls(number, 5)), tmp_path, execution)
    assert left.value.code == status
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    assert signal.getsignal(number) == usual, "the handlers stay after the training"


def test_the_second_ctrl_c_ends_it_at_once(tmp_path):
    recipe, execution = figures()

    class Twice(Calls):
        def __getitem__(self, where):
            if self.loaded == 4:
                os.kill(os.getpid(), signal.SIGINT)
            return super().__getitem__(where)

    with pytest.raises(KeyboardInterrupt):
        run(task_of(recipe, Twice(signal.SIGINT, 4)), tmp_path, execution)


def test_a_signal_that_the_shell_has_ignored_stays_ignored(tmp_path, monkeypatch):
    recipe, execution = figures()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = run(task_of(recipe, Calls(signal.SIGINT, 5)), tmp_path, execution)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(done.history) == recipe.epochs


def test_sigterm_prevails_over_sigusr1(tmp_path):
    recipe, execution = figures()

    class Both(Calls):
        def __getitem__(self, where):
            if self.loaded == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().__getitem__(where)

    with pytest.raises(Interrupted) as left:
        run(task_of(recipe, Both(signal.SIGUSR1, 6)), tmp_path, execution)
    assert left.value.code == 143


def test_torchrun_sees_no_failure_in_a_job_that_will_go_on(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    recipe, execution = figures()
    with pytest.raises(Interrupted) as left:
        run(task_of(recipe, Calls(signal.SIGUSR1, 5)), tmp_path, execution)
    assert left.value.code == 0


def test_the_end_of_the_allocation_is_not_waited_for(tmp_path, monkeypatch):
    recipe, execution = figures()
    monkeypatch.setenv(END_OF_ALLOCATION, str(int(time.time()) + 1000))
    whole = run(task_of(recipe), tmp_path / "far", execution.model_copy(update={"stop_before_limit_seconds": 500}))
    soon = execution.model_copy(update={"stop_before_limit_seconds": 2000})
    # Each attempt takes a step at least, so that it gets somewhere however short its time is.
    for _ in range(whole.steps - 1):
        with pytest.raises(Interrupted) as left:
            run(task_of(recipe), tmp_path / "near", soon)
        assert left.value.code == 75
    cut = run(task_of(recipe), tmp_path / "near", soon)
    assert cut.history[-1]["loss"] == whole.history[-1]["loss"]


def cut_and_go_on(group, folder, at):
    """Rank 1 alone is signalled; everybody leaves off, and the second attempt ends the training."""
    recipe, execution = figures()
    task = task_of(recipe, Calls(signal.SIGUSR1, at if group.rank else -1))
    code, saved = None, []
    try:
        run(task, folder / "state", execution, group)
    except Interrupted as left:
        code = left.code
        saved = sorted(path.name.split("-")[1] for path in (folder / "state").glob("step-*.pt"))
    group.barrier()
    again = task_of(recipe)
    outcome = run(again, folder / "state", execution, group)
    losses = [metrics["loss"] for metrics in outcome.history]
    return {"code": code, "saved": saved, "steps": outcome.steps, "model": again.model.state_dict(), "losses": losses}


def uncut(group, folder):
    recipe, execution = figures()
    task = task_of(recipe)
    outcome = run(task, folder / "state", execution, group)
    return {"steps": outcome.steps, "model": task.model.state_dict(), "losses": [m["loss"] for m in outcome.history]}


@pytest.mark.parametrize(("at", "after"), [(5, 3), (9, 4)], ids=["within an epoch", "at its end"])
def test_two_processes_leave_off_after_the_same_step_and_end_with_the_same_bits(tmp_path, at, after):
    undisturbed = together(uncut, tmp_path / "uncut")[0]
    first, second = together(partial(cut_and_go_on, at=at), tmp_path / "cut")
    assert first["code"] == second["code"] == 75
    assert first["saved"] == [f"{after:09d}"]
    assert first["losses"] == second["losses"] == undisturbed["losses"], "each process went on with its own losses"
    assert first["steps"] == undisturbed["steps"]
    for name, tensor in undisturbed["model"].items():
        assert torch.equal(tensor, first["model"][name]), name
        assert torch.equal(tensor, second["model"][name]), name


def begun(group, folder):
    """Leaves off on its own after some steps."""
    recipe, execution = figures()
    try:
        run(task_of(recipe, Calls(signal.SIGUSR1, 9)), folder.parent / "shared", execution, group)
    except Interrupted:
        return {"cut": True}
    return {"cut": False}


def ended(group, folder):
    recipe, execution = figures()
    outcome = run(task_of(recipe), folder.parent / "shared", execution, group)
    return {"steps": outcome.steps, "losses": [m["loss"] for m in outcome.history]}


def test_goes_on_with_another_number_of_processes(tmp_path):
    whole = together(uncut, tmp_path / "uncut", world=1)[0]
    assert together(begun, tmp_path / "two", world=2)[0]["cut"]
    last = together(ended, tmp_path / "one", world=1)[0]
    assert last["steps"] == whole["steps"]
    assert last["losses"] == pytest.approx(whole["losses"], rel=1e-4)
