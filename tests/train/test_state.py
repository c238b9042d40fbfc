"""Training state on disk."""

import errno
import os

import pytest
import torch

from dbot.base.disk import DiskRefused
from dbot.base.errors import UserError
from dbot.train.state import StateStore, is_whole, read


@pytest.fixture
def store(tmp_path):
    store = StateStore(tmp_path / "state", keep=2)
    for step in (1, 2, 10):
        store.save(step, {"weights": torch.full((3,), float(step)), "history": [{"loss": 0.5}]})
    return store


def test_newest_is_loaded_and_oldest_dropped(store):
    step, state = store.load()
    assert step == 10
    assert state["weights"].tolist() == [10, 10, 10]
    assert len(list(store.folder.iterdir())) == 2


@pytest.mark.parametrize("harm", ["flip", "truncate", "empty"])
def test_damaged_state_is_passed_over_with_a_warning(store, harm, capsys):
    newest = max(store.folder.iterdir())
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes({"flip": bytes(content), "truncate": bytes(content[:-7]), "empty": b""}[harm])
    step, state = store.load()
    assert step == 2
    assert state["weights"].tolist() == [2, 2, 2]
    assert "is damaged" in capsys.readouterr().out


def test_a_half_written_state_is_not_seen(store):
    (store.folder / ".123.part").write_bytes(b"half")
    assert store.load()[0] == 10


def test_nothing_there(tmp_path):
    assert StateStore(tmp_path / "none", 2).load() is None


def test_a_pinned_state_outlasts_newer_ones(store):
    pinned = store.pin(store.before(10))
    for step in (11, 12, 13):
        store.save(step, {"weights": torch.zeros(3)})
    assert is_whole(pinned)
    assert read(pinned)[0] == 10
    assert store.load()[0] == 13, "it is not among those that a job goes on from"


def test_the_newest_state_before_a_step(store):
    assert [store.before(step) and store.before(step).name[:14] for step in (1, 2, 9, 10, 99)] == [
        None, "step-000000002", "step-000000002", "step-000000010", "step-000000010",
    ]  # fmt: skip


def test_states_are_ordered_by_step_whatever_the_clock_said(store):
    for path in store.folder.iterdir():
        os.utime(path, (0, 0) if "10-" in path.name else None)
    assert store.load()[0] == 10


def test_a_state_of_another_version_is_refused(store, monkeypatch):
    monkeypatch.setattr("dbot.train.state.FORMAT", 99)
    store.save(11, {"weights": torch.zeros(3)})
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"another version of dbot \(format 99; this one reads \d+\)") as caught:
        store.load()
    assert "\n" not in str(caught.value)


def test_half_of_a_state_is_written_over(store):
    (store.folder / ".state.part").write_bytes(b"half" * 1000)
    store.save(11, {"weights": torch.zeros(3)})
    assert not (store.folder / ".state.part").exists()


@pytest.mark.parametrize("at", ["while it is written", "when it is to be on the disk"])
def test_a_full_disk_keeps_the_earlier_states_and_is_waited_for(store, monkeypatch, at, capsys):
    failures, waited = [2], []

    def full(*args):
        if failures[0]:
            failures[0] -= 1
            raise OSError(errno.ENOSPC, "No space left on device")

    def save(state, stream):
        if failures[0]:
            stream.write(b"half")
        full()
        real_save(state, stream)

    real_save = torch.save
    monkeypatch.setattr("time.sleep", waited.append)
    if at == "while it is written":
        monkeypatch.setattr(torch, "save", save)
    else:
        monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskRefused, match=r"state: no space left on device; free some space"):
        store.save(11, {"weights": torch.zeros(3)})
    assert store.load()[0] == 10
    assert not list(store.folder.glob(".*"))
    store.patience = 60.0
    store.save(11, {"weights": torch.zeros(3)})
    assert store.load()[0] == 11
    assert waited == [1.0]
    assert "No space left on device; trying again in 1 s" in capsys.readouterr().err
