"""The loop: it trains, goes on bit for bit, keeps its effective batch, and refuses what isn't finite."""

import math
import os
import signal

import pytest
import torch

from dbot.base.errors import UserError
from dbot.train.incident import NonFinite
from dbot.train.loop import REWINDS, Interrupted, train
from dbot.train.state import StateStore
from tests.train.small import ALONE, Noise, execution_like, recipe_like, run, task_of, without_times


@pytest.fixture
def recipe(demo):
    return recipe_like(demo.recipes.pretrain["asymmetric-B"], drop_path=0.3)


@pytest.fixture
def execution(demo):
    return execution_like(demo.execution)


def same_weights(a, b) -> bool:
    return all(torch.equal(x, b[name]) for name, x in a.items())


class Breaks(Noise):
    """Stops the training process's work at a given request, as a kill would."""

    def __init__(self, count: int, at: int) -> None:
        super().__init__(count)
        self.left = at

    def __getitem__(self, where):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().__getitem__(where)


def test_learns(recipe, execution, tmp_path):
    outcome = run(task_of(recipe.model_copy(update={"epochs": 30})), tmp_path, execution)
    assert outcome.steps == 60  # 20 images make two batches of 8 an epoch
    assert outcome.history[-1]["loss"] < outcome.history[0]["loss"]


def test_every_progress_line_is_told_of(recipe, execution, tmp_path, capsys):
    task, store, calls = task_of(recipe), StateStore(tmp_path, execution.states_kept), []
    execution = execution.model_copy(update={"progress_every_seconds": 0.0})
    train(task, store, ALONE, execution, 8, lambda history: None, meanwhile=lambda: calls.append(1))
    lines = capsys.readouterr().out.splitlines()
    assert len(calls) == sum("left" in line for line in lines) == 3  # of two steps in each of three epochs, one is no end


@pytest.mark.parametrize("killed_at", [5, 23, 30, 47])
@pytest.mark.parametrize("every", [0.0, 1e9], ids=["states as often as can be", "no state but the last"])
def test_goes_on_bit_for_bit(recipe, execution, tmp_path, killed_at, every):
    whole = task_of(recipe)
    outcome = run(whole, tmp_path / "whole", execution)
    execution = execution.model_copy(update={"state_every_seconds": every})
    with pytest.raises(KeyboardInterrupt):
        run(task_of(recipe, Breaks(20, killed_at)), tmp_path / "cut", execution)
    cut = task_of(recipe)
    resumed = run(cut, tmp_path / "cut", execution)
    assert same_weights(whole.model.state_dict(), cut.model.state_dict())
    assert without_times(resumed.history) == without_times(outcome.history)


def test_loader_processes_change_nothing(recipe, execution, tmp_path):
    alone, helped = task_of(recipe), task_of(recipe)
    run(alone, tmp_path / "a", execution)
    run(helped, tmp_path / "b", execution.model_copy(update={"workers": 2}))
    assert same_weights(alone.model.state_dict(), helped.model.state_dict())


def test_accumulation_keeps_the_effective_batch(recipe, execution, tmp_path):
    recipe = recipe.model_copy(update={"drop_path": 0.0})
    whole = run(task_of(recipe), tmp_path / "a", execution)
    pieces = run(task_of(recipe), tmp_path / "b", execution, batch=3)  # 3 doesn't divide 8, so 2 at a time
    assert whole.steps == pieces.steps == 6
    assert [m["loss"] for m in pieces.history] == pytest.approx([m["loss"] for m in whole.history], rel=1e-5)


def test_finished_training_is_not_trained_again(recipe, execution, tmp_path):
    first, second = task_of(recipe), task_of(recipe, Breaks(20, 0))
    run(first, tmp_path, execution)
    run(second, tmp_path, execution)
    assert same_weights(first.model.state_dict(), second.model.state_dict())


def test_terminated_training_writes_its_state(recipe, execution, tmp_path):
    whole = task_of(recipe)
    run(whole, tmp_path / "whole", execution)

    class Terminates(Noise):
        def __getitem__(self, where):
            if where[0] == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().__getitem__(where)

    with pytest.raises(Interrupted):
        run(task_of(recipe, Terminates(20)), tmp_path / "cut", execution)
    resumed = task_of(recipe)
    run(resumed, tmp_path / "cut", execution)
    assert same_weights(whole.model.state_dict(), resumed.model.state_dict())


class Poisoned(Noise):
    """One image of one epoch is not a number."""

    def __getitem__(self, where):
        image, label = super().__getitem__(where)
        return (image * math.nan if where == (1, 7) else image), label


def holds(order_seed: int) -> bool:
    """Whether image 7 is among the batches of epoch 1 (what is left over of an epoch is dropped)."""
    from dbot.train.batches import TrainingOrder, lay_out

    return any((1, 7) in batch for batch in TrainingOrder(20, lay_out(8, 8, 1, 0), order_seed, 0, 6))


@pytest.mark.usefixtures("state_at_every_step")
def test_not_finite_stops_with_a_word(recipe, execution, tmp_path):
    assert holds(0)
    with pytest.raises(NonFinite, match="stopped being finite") as caught:
        run(task_of(recipe, Poisoned(20)), tmp_path, execution)
    assert "\n" not in str(caught.value)
    newest = max(int(path.name.split("-")[1]) for path in tmp_path.iterdir())
    assert newest == caught.value.incident.step, "the state just before it is kept, none after it"


def test_not_finite_is_skipped_and_counted(recipe, execution, tmp_path):
    task = task_of(recipe.model_copy(update={"non_finite": "skip"}), Poisoned(20))
    outcome = run(task, tmp_path, execution)
    assert outcome.history[1]["skipped_steps"] == 1
    assert all(math.isfinite(metrics["loss"]) for metrics in outcome.history)
    assert all(p.isfinite().all() for p in task.model.parameters())


@pytest.mark.parametrize("killed_at", [None, 19, 27, 45])
def test_going_back_ends_as_if_the_step_had_been_skipped(recipe, execution, tmp_path, capsys, killed_at):
    """Also where it is killed before the bad step, while it goes back, and after."""
    skips, goes_back = recipe.model_copy(update={"non_finite": "skip"}), recipe.model_copy(update={"non_finite": "rewind"})
    skipped = task_of(skips, Poisoned(20))
    expected = run(skipped, tmp_path / "skipped", execution)
    if killed_at is not None:

        class Cut(Poisoned, Breaks):
            def __init__(self) -> None:
                Breaks.__init__(self, 20, killed_at)

        with pytest.raises(KeyboardInterrupt):
            run(task_of(goes_back, Cut()), tmp_path / "back", execution)
    task = task_of(goes_back, Poisoned(20))
    outcome = run(task, tmp_path / "back", execution)
    assert same_weights(skipped.model.state_dict(), task.model.state_dict())
    assert without_times(outcome.history) == without_times(expected.history)
    assert outcome.history[1]["skipped_steps"] == 1
    if killed_at is None:
        assert "going back, to pass over its batch" in capsys.readouterr().out


class Rotten(Noise):
    """One image is never a number."""

    def __getitem__(self, where):
        image, label = super().__getitem__(where)
        return (image * math.nan if where[1] == 7 else image), label


def test_a_wish_that_is_heard_while_it_goes_back_is_kept(recipe, execution, tmp_path):
    """The signal comes with the bad step, and the state that it asks for can't be that of the step."""
    recipe, bad = recipe.model_copy(update={"non_finite": "rewind"}), []

    class Calls(Poisoned):
        def __getitem__(self, where):
            if where == (1, 7) and not bad:
                bad.append(where)
                os.kill(os.getpid(), signal.SIGUSR1)
            return super().__getitem__(where)

    with pytest.raises(Interrupted) as left:
        run(task_of(recipe, Calls(20)), tmp_path, execution)
    assert left.value.code == 75


def test_going_back_has_an_end(recipe, execution, tmp_path):
    recipe = recipe.model_copy(update={"non_finite": "rewind", "epochs": 30})
    seen = []
    with pytest.raises(NonFinite, match="stopped being finite"):
        run(task_of(recipe, Rotten(20)), tmp_path, execution, on_incident=lambda incident: seen.append(incident.step) or "")
    assert len(seen) == REWINDS + 1
    assert seen == sorted(set(seen)), "each time it comes further"


def test_an_epoch_without_a_finite_step_is_no_epoch(recipe, execution, tmp_path):
    class All(Noise):
        def __getitem__(self, where):
            image, label = super().__getitem__(where)
            return image * math.nan, label

    with pytest.raises(UserError, match="no step of epoch 1 was finite"):
        run(task_of(recipe.model_copy(update={"non_finite": "skip"}), All(20)), tmp_path, execution)


@pytest.mark.usefixtures("state_at_every_step")
def test_the_first_bad_step_is_named_with_its_images(recipe, execution, tmp_path):
    found = []
    with pytest.raises(NonFinite, match=r"in step [34] of 6; the last good state is kept\. .*; look there$"):
        run(task_of(recipe, Poisoned(20)), tmp_path, execution, on_incident=lambda incident: found.append(incident) or "look there")
    (incident,) = found
    assert (1, 7) in incident.images
    assert len(incident.images) == 8
    assert incident.epoch == 2
    assert incident.state.name.startswith(f"step-{incident.step:09d}-")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_reduced_precision_learns(recipe, execution, tmp_path, precision):
    outcome = run(task_of(recipe.model_copy(update={"precision": precision, "epochs": 20})), tmp_path, execution)
    assert outcome.history[-1]["loss"] < outcome.history[0]["loss"]


def test_more_batch_than_images(recipe, execution, tmp_path):
    with pytest.raises(UserError, match="more than the 5 training images"):
        run(task_of(recipe, Noise(5)), tmp_path, execution)
