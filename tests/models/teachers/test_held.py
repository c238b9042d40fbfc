"""A teacher that holds its weights in the type in which autocast multiplies them: the same bits, half the memory."""

import pytest
import torch
from torch import nn

from dbot.distill.boundary import begin_stage
from dbot.models.teachers.networks import timm_teacher
from dbot.params.teachers import TimmTeacher
from dbot.tasks.pretrain import settle
from tests.train.small import ARCHITECTURE, AS_THEY_ARE, RANDOM, recipe_like


def own(demo, design, **changes):
    recipe = recipe_like(demo.recipes.pretrain[design], **changes)
    return recipe, begin_stage(ARCHITECTURE, recipe, 1, RANDOM, AS_THEY_ARE)[1]


def from_timm(model, projection):
    figures = {"weights": "random", "image_size": 32, "projection": projection, "data": "none", "licence": "none"}
    return timm_teacher(TimmTeacher(kind="timm", model=model, **figures), final_norm=False)


KINDS = {
    "asymmetric": lambda demo: own(demo, "asymmetric-B")[1],
    "symmetric": lambda demo: own(demo, "symmetric")[1],
    "clip": lambda demo: from_timm("vit_base_patch16_clip_quickgelu_224", True),
    "convolutions": lambda demo: from_timm("convnext_atto", False),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_gives_the_same_bits(demo, kind, dtype):
    teacher, pixels = KINDS[kind](demo), torch.rand(2, 3, 32, 32)
    with torch.autocast("cpu", dtype=dtype):
        before = teacher(pixels)
        teacher.hold_weights_in(dtype)
        assert torch.equal(teacher(pixels), before)
    assert {part.weight.dtype for part in teacher.modules() if isinstance(part, nn.Linear | nn.Conv2d)} == {dtype}
    assert {p.dtype for part in teacher.modules() if isinstance(part, nn.LayerNorm) for p in part.parameters()} <= {torch.float32}


def test_on_a_cpu_its_weights_stay_as_they_are(demo):
    recipe, teacher = own(demo, "asymmetric-B", precision="bf16")
    settle(teacher, recipe, torch.device("cpu"))
    assert {p.dtype for p in teacher.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("changes", "held"),
    [({"precision": "bf16"}, torch.bfloat16), ({"precision": "fp32"}, None), ({"precision": "bf16", "teacher_momentum": 0.9}, None)],
)
def test_on_a_gpu_they_are_held_unless_it_follows_the_student(demo, monkeypatch, changes, held):
    recipe, teacher = own(demo, "asymmetric-B", **changes)
    found = []
    monkeypatch.setattr(teacher, "to", lambda device: teacher)
    monkeypatch.setattr(teacher, "hold_weights_in", found.append)
    settle(teacher, recipe, torch.device("cuda"))
    assert found == ([] if held is None else [held])
