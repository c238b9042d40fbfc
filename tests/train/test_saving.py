"""States that are written while the training goes on."""

import errno
import gc
import os
import weakref
from threading import Event

import pytest
import torch

from dbot.base.disk import DiskRefused
from dbot.train.loop import train
from dbot.train.saving import Saver, copied
from dbot.train.state import StateStore
from tests.train.small import ALONE, Noise, execution_like, recipe_like, task_of, without_times
from tests.train.test_loop import Poisoned, same_weights


class Blocked(StateStore):
    """Writes when it is let."""

    def __init__(self, folder):
        super().__init__(folder, keep=9)
        self.begun, self.let = Event(), Event()

    def save(self, step, state, given_up=None):
        self.begun.set()
        assert self.let.wait(60)
        return super().save(step, state, given_up)


class Watched(StateStore):
    """Knows whether it is writing: nothing else may be done in it then."""

    def __init__(self, folder, keep=9):
        super().__init__(folder, keep)
        self.writing, self.done, self.let = False, [], Event()
        self.let.set()

    def save(self, step, state, given_up=None):
        assert not self.writing
        self.writing = True
        assert self.let.wait(60)
        Event().wait(0.1)  # some steps are taken meanwhile
        path = super().save(step, state, given_up)
        self.writing = False
        self.done.append(step)
        return path

    def load(self):
        assert not self.writing
        return super().load()

    def before(self, step):
        assert not self.writing
        return super().before(step)


@pytest.fixture
def recipe(demo):
    return recipe_like(demo.recipes.pretrain["asymmetric-B"], drop_path=0.3)


@pytest.fixture
def often(demo):
    return execution_like(demo.execution, state_every_seconds=1e-9)


def test_what_is_written_is_of_the_step_at_which_it_was_asked_for(tmp_path):
    model, store = torch.nn.Linear(3, 3), Blocked(tmp_path)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0)

    def step():
        model(torch.ones(2, 3)).square().sum().backward()
        optimizer.step()

    step()
    with Saver(store, 0) as saver:
        then = copied({"model": model.state_dict(), "optimizer": optimizer.state_dict()})
        saver.begin(1, {"model": model.state_dict(), "optimizer": optimizer.state_dict()}, {"history": [1]})
        assert store.begun.wait(60)
        step()
        store.let.set()
    assert not torch.equal(model.weight, then["model"]["weight"])
    _, state = store.load()
    assert same_weights(state["model"], then["model"])
    assert same_weights(state["optimizer"]["state"][0], then["optimizer"]["state"][0])
    assert state["history"] == [1]


def test_a_copy_is_like_what_it_was_made_from():
    model = torch.nn.BatchNorm1d(2)
    state = {"model": model.state_dict(), "counts": (1, [torch.tensor(2)]), "text": "a"}
    made = copied(state)
    assert made["model"]._metadata == state["model"]._metadata, "torch keeps versions of modules there"
    assert made["counts"] == (1, [torch.tensor(2)])
    model.running_mean += 1
    assert made["model"]["running_mean"].tolist() == [0, 0]


@pytest.mark.gpu
def test_a_copy_from_a_gpu_is_of_its_moment():
    weights = torch.full((1 << 24,), 1.0, device="cuda")
    made = copied({"weights": weights})["weights"]
    weights += 1
    assert made.is_pinned()
    assert bool((made == 1).all())


def test_one_at_a_time(tmp_path):
    store = Blocked(tmp_path)
    with Saver(store, 0) as saver:
        assert saver.is_due()
        saver.begin(1, {}, {})
        assert not saver.is_due(), "the one before it is still being written"
        store.let.set()
        saver.wait()
        assert saver.is_due()


def test_its_time_is_counted_from_one_to_the_next(tmp_path):
    with Saver(StateStore(tmp_path, 1), 1e9) as saver:
        assert not saver.is_due()
        saver.every = 0
        assert saver.is_due()
        saver.every = 1e9
        assert not saver.is_due()


@pytest.fixture
def full_disk(monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("asks", ["is_due", "wait", "__exit__"])
def test_a_refusal_reaches_the_training(tmp_path, asks):
    saver = Saver(StateStore(tmp_path / "state", 2), 0)
    saver.begin(1, {"weights": torch.zeros(3)}, {})
    while not saver._writing.done():
        Event().wait(0.01)
    with pytest.raises(DiskRefused, match=r"state: no space left on device; free some space, and run this again$"):
        getattr(saver, asks)(*([None] * 3 if asks == "__exit__" else []))
    saver.wait()  # it is said once


@pytest.mark.usefixtures("full_disk")
def test_an_error_of_the_training_is_not_kept_waiting_by_the_disk(tmp_path, capsys):
    """Nor is the refusal lost: the error that came first is raised, and the other one said."""

    def training():
        with Saver(StateStore(tmp_path / "state", 2, patience=1e9), 0) as saver:
            saver.begin(1, {"weights": torch.zeros(3)}, {})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training()
    assert "state: no space left on device; free some space, and run this again" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.usefixtures("full_disk")
def test_a_training_on_a_full_disk_ends_with_one_line(recipe, often, tmp_path):
    with pytest.raises(DiskRefused) as caught:
        train(task_of(recipe), StateStore(tmp_path / "state", 2), ALONE, often, 8, lambda history: None)
    assert str(caught.value) == f"{tmp_path / 'state'}: no space left on device; free some space, and run this again"


def test_a_training_goes_on_while_its_state_is_written(recipe, often, tmp_path):
    """And waits for the last one: at its end nothing is left to be done."""
    store = Watched(tmp_path, keep=2)

    class Lets(Noise):
        def __getitem__(self, where):
            if where[0] == 1:
                store.let.set()  # the first state is written once the second epoch has begun
            return super().__getitem__(where)

    store.let.clear()
    steps = train(task_of(recipe, Lets(20)), store, ALONE, often, 8, lambda history: None).steps
    assert not store.writing
    assert store.done[0] == 1
    assert 2 not in store.done
    assert store.done[-1] == steps == 6


def test_going_back_waits_for_what_is_being_written(recipe, often, tmp_path):
    skips, goes_back = (task_of(recipe.model_copy(update={"non_finite": policy}), Poisoned(20)) for policy in ("skip", "rewind"))
    expected = train(skips, StateStore(tmp_path / "skips", 2), ALONE, often, 8, lambda history: None)
    outcome = train(goes_back, Watched(tmp_path / "back"), ALONE, often, 8, lambda history: None)
    assert same_weights(skips.model.state_dict(), goes_back.model.state_dict())
    assert without_times(outcome.history) == without_times(expected.history)


def test_a_state_that_was_restored_does_not_live_on(recipe, often, tmp_path):
    train(task_of(recipe.model_copy(update={"epochs": 3})), StateStore(tmp_path, 2), ALONE, often, 8, lambda history: None)
    read, alive = [], []

    class Remembers(StateStore):
        def load(self):
            step, state = super().load()
            read.extend(weakref.ref(tensor) for tensor in (*state["model"].values(), state["meter"]["loss"]))
            return step, state

    def after_epoch(history):
        gc.collect()
        alive.append(sum(reference() is not None for reference in read))

    longer = recipe.model_copy(update={"epochs": 4})
    train(task_of(longer), Remembers(tmp_path, 2), ALONE, often, 8, after_epoch)
    assert len(read) > 10
    assert alive == [0]


def test_other_archives_keep_their_sums(tmp_path):
    StateStore(tmp_path, 1).save(1, {"weights": torch.zeros(3)})
    assert torch.serialization.get_crc32_options()
