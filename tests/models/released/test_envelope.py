"""Where in a file the weights are: whatever lies beside them, below whichever key, behind whichever wrapper."""

import argparse
from pathlib import Path

import numpy
import pytest
import timm
import torch

from dbot.base.errors import UserError
from dbot.models import checkpoint
from dbot.models.released.reading import read_tensors
from dbot.models.released.take_over import Stated, take_over


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    return timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=32, depth=2).state_dict()


@pytest.fixture(scope="module")
def averaged(weights):
    return {name: tensor + 1 for name, tensor in weights.items()}


def saved(content, path):
    torch.save(content, path)
    return path


def taken(content, path, **stated):
    """Weights, description and lines."""
    said = []
    found, about = take_over(saved(content, path), stated=Stated(**stated), say=said.append)
    return found, about, [line for line in said if "assumed" not in line]


def is_like(found, weights):
    return found.keys() == {f"encoder.{name}" for name in weights} and all(torch.equal(found[f"encoder.{n}"], weights[n]) for n in weights)


BESIDE = {
    "best_acc1": torch.tensor(76.1),
    "best": numpy.float64(76.1),
    "seen": numpy.int64(3),
    "curve": numpy.array([1.0, 2.0]),
    "random": numpy.random.RandomState(0).get_state(),
    "rng_state": torch.zeros(5, dtype=torch.uint8),
    "args": argparse.Namespace(output=Path("x"), lr=numpy.float32(1e-3)),
    "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1e-3}]},
    "epoch": 3,
}


@pytest.mark.parametrize("key", ["state_dict", "model", "model_ema", "weights_of_mine"])
@pytest.mark.parametrize("zipped", [True, False])
def test_whatever_lies_beside_the_weights_is_passed_over_and_named(tmp_path, weights, key, zipped):
    torch.save({**BESIDE, key: weights}, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    said = []
    found, about = take_over(tmp_path / "x.pth", say=said.append)
    assert is_like(found, weights)
    assert (about["layout"], about["architecture"]["heads"], about["architecture"]["depth"]) == ("vit", 3, 2)
    assert said[0].startswith(f"{tmp_path}/x.pth: took the weights under {key}; passed over: best_acc1, best, seen")


def test_numbers_of_numpy_are_never_built(tmp_path, weights, monkeypatch):
    """Their pickles may say anything; nothing of numpy is called with it."""
    torch.save({"model": weights, "best": numpy.float64(1)}, tmp_path / "x.pth")
    monkeypatch.setattr(numpy._core.multiarray, "scalar", lambda *_: pytest.fail("called"))
    assert read_tensors(tmp_path / "x.pth").keys() == weights.keys()


def test_averaged_weights_beside_others(tmp_path, weights, averaged):
    content = {"state_dict": weights, "state_dict_ema": averaged, "arch": "vit_tiny"}
    found, _, said = taken(content, tmp_path / "a.pth")
    assert is_like(found, weights)
    assert said == [
        f"{tmp_path}/a.pth: took the weights under state_dict; there are others under state_dict_ema "
        "(--weights, or `entry` in a declaration, names another); passed over: arch"
    ]
    found, _, said = taken(content, tmp_path / "a.pth", entry="state_dict_ema")
    assert is_like(found, averaged)
    assert not said
    assert is_like(taken({"model_ema": averaged}, tmp_path / "b.pth")[0], averaged)


def test_of_a_student_and_its_teacher_the_teacher(tmp_path, weights, averaged):
    student = {f"module.backbone.{name}": tensor for name, tensor in weights.items()}
    teacher = {f"backbone.{name}": tensor for name, tensor in averaged.items()}
    found, about, (said,) = taken({"student": student, "teacher": teacher}, tmp_path / "c.pth")
    assert is_like(found, averaged)
    assert about["layout"] == "dino"
    assert "took the weights under teacher; there are others under student" in said
    assert is_like(taken({"student": student, "teacher": teacher}, tmp_path / "c.pth", entry="student")[0], weights)


def test_weights_of_equal_right_are_asked_for(tmp_path, weights, averaged):
    content = {"left": weights, "right": averaged}
    with pytest.raises(UserError, match="holds weights under left, right; say which with --weights, or `entry`"):
        taken(content, tmp_path / "x.pth")
    assert is_like(taken(content, tmp_path / "x.pth", entry="right")[0], averaged)
    with pytest.raises(UserError, match="holds no weights under middle; there are some under left, right"):
        taken(content, tmp_path / "x.pth", entry="middle")


def test_two_networks_in_one_set_of_weights_are_named(tmp_path, weights, averaged):
    """As in MoCo's checkpoints."""
    content = {
        "state_dict": {
            **{f"module.base_encoder.{name}": tensor for name, tensor in weights.items()},
            **{f"module.momentum_encoder.{name}": tensor for name, tensor in averaged.items()},
            "module.predictor.0.weight": torch.ones(2),
        }
    }
    with pytest.raises(UserError, match="it holds networks under base_encoder, momentum_encoder: name one with --weights") as caught:
        taken(content, tmp_path / "x.pth")
    assert "\n" not in str(caught.value)
    assert is_like(taken(content, tmp_path / "x.pth", entry="state_dict.module.momentum_encoder")[0], averaged)
    assert is_like(taken(content["state_dict"], tmp_path / "x.pth", entry="module.momentum_encoder")[0], averaged)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod.", "_orig_mod.module.", "model.", "model._orig_mod.module."])
def test_the_prefix_of_a_wrapper_is_taken_off(tmp_path, weights, prefix):
    found, about, said = taken({"model": {prefix + name: tensor for name, tensor in weights.items()}}, tmp_path / "x.pth")
    plain, plainly, silence = taken({"model": weights}, tmp_path / "plain.pth")
    checkpoint.save(tmp_path / "a.safetensors", found, about)
    checkpoint.save(tmp_path / "b.safetensors", plain, plainly)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert said == [f"{tmp_path}/x.pth: took off {prefix}, with which all names begin"]
    assert silence == []


def test_torch_s_averaged_model(tmp_path, weights):
    network = timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=32, depth=2)
    content = torch.optim.swa_utils.AveragedModel(network).state_dict()
    assert "n_averaged" in content
    assert is_like(taken(content, tmp_path / "x.pth")[0], network.state_dict())


def test_what_wrappers_of_single_blocks_put_inside_names(tmp_path, weights):
    content = {name.replace("blocks.1.", "blocks.1._orig_mod."): tensor for name, tensor in weights.items()}
    found, _, (said,) = taken(content, tmp_path / "x.pth")
    assert is_like(found, weights)
    assert "took off _orig_mod. inside names" in said


def test_names_of_which_only_some_have_the_prefix(tmp_path, weights, averaged):
    content = {**weights, **{f"module.{name}": tensor for name, tensor in averaged.items()}}
    with pytest.raises(UserError, match=r"some of its names begin with module\. and others don't \(.*\): two networks in one") as caught:
        taken(content, tmp_path / "x.pth")
    assert "\n" not in str(caught.value)


def test_a_file_without_weights_says_what_it_has(tmp_path):
    with pytest.raises(UserError, match=r"holds no weights by name, .* \(its keys: epoch, loss\)"):
        taken({"epoch": 3, "loss": [1.0]}, tmp_path / "x.pth")
