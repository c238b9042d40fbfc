"""Checkpoint files."""

import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from dbot.base.errors import UserError
from dbot.models import checkpoint

WEIGHTS = {"b": torch.arange(6.0).reshape(2, 3).T, "a": torch.ones(2)}
ABOUT = {"kind": "student", "row": "B-B", "architecture": {"width": 3}}


def test_round_trip(tmp_path):
    checkpoint.save(tmp_path / "x.safetensors", WEIGHTS, ABOUT)
    weights, about = checkpoint.load(tmp_path / "x.safetensors")
    assert about == ABOUT
    assert all(torch.equal(weights[name], tensor) for name, tensor in WEIGHTS.items())


def test_the_same_content_gives_the_same_bytes(tmp_path):
    checkpoint.save(tmp_path / "one", WEIGHTS, ABOUT)
    checkpoint.save(tmp_path / "two", dict(reversed(WEIGHTS.items())), dict(reversed(ABOUT.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_what_is_no_checkpoint_of_ours(tmp_path, content):
    file = tmp_path / "x.safetensors"
    if content is None:
        save_file(WEIGHTS | {"b": WEIGHTS["b"].contiguous()}, file)
    else:
        file.write_bytes(content)
    with pytest.raises(UserError, match=r"x\.safetensors: ") as caught:
        checkpoint.load(file)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"none\.safetensors"):
        checkpoint.load(tmp_path / "none.safetensors")


def test_a_checkpoint_of_a_newer_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 2)
    checkpoint.save(tmp_path / "x.safetensors", WEIGHTS, ABOUT)
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"x\.safetensors: was written by a newer dbot \(format 2; this one reads 1\)"):
        checkpoint.load(tmp_path / "x.safetensors")


class Payload:
    """Makes a folder when it is unpickled by a program that lets it."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("form", ["pickle", "torch", "header of safetensors"])
def test_a_checkpoint_is_never_run(tmp_path, form):
    file, ran = tmp_path / "x.safetensors", tmp_path / "ran"
    if form == "pickle":
        file.write_bytes(pickle.dumps(Payload(ran)))
    elif form == "torch":
        torch.save({"a": Payload(ran)}, file)
    else:
        save_file({"a": torch.ones(2)}, file, metadata={"dbot": f"!!python/object/apply:os.mkdir ['{ran}']"})
    with pytest.raises(UserError, match=r"x\.safetensors: is not a checkpoint that can be read"):
        checkpoint.load(file)
    assert not ran.exists()


def test_the_group_may_read_what_the_umask_lets_it(tmp_path):
    checkpoint.save(tmp_path / "a.safetensors", {"w": torch.zeros(2)}, {})
    (tmp_path / "b").touch()
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "b").stat().st_mode
