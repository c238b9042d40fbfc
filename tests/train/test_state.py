"""Training state on disk."""

import pytest
import torch

from dbot.train.state import StateStore

CPU = torch.device("cpu")


@pytest.fixture
def store(tmp_path):
    store = StateStore(tmp_path / "state", keep=2)
    for step in (1, 2, 10):
        store.save(step, {"weights": torch.full((3,), float(step)), "history": [{"loss": 0.5}]})
    return store


def test_newest_is_loaded_and_oldest_dropped(store):
    step, state = store.load(CPU)
    assert step == 10
    assert state["weights"].tolist() == [10, 10, 10]
    assert len(list(store.folder.iterdir())) == 2


@pytest.mark.parametrize("harm", ["flip", "truncate", "empty"])
def test_damaged_state_is_passed_over_with_a_warning(store, harm, capsys):
    newest = max(store.folder.iterdir())
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes({"flip": bytes(content), "truncate": bytes(content[:-7]), "empty": b""}[harm])
    step, state = store.load(CPU)
    assert step == 2
    assert state["weights"].tolist() == [2, 2, 2]
    assert "is damaged" in capsys.readouterr().out


def test_a_half_written_state_is_not_seen(store):
    (store.folder / ".123.part").write_bytes(b"half")
    assert store.load(CPU)[0] == 10


def test_nothing_there(tmp_path):
    assert StateStore(tmp_path / "none", 2).load(CPU) is None
