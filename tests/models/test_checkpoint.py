"""Checkpoint files."""

import pytest
import torch
from safetensors.torch import save_file

from dbot.errors import UserError
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
