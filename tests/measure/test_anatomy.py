"""Which networks can be looked at, and what is found of them."""

import pytest
import timm
import torch
from torch import nn

from dbot.base.errors import UserError
from dbot.measure.anatomy import anatomy_of
from dbot.models.encoder import build_encoder
from dbot.models.teachers.encoder import EncoderTeacher
from dbot.models.teachers.networks import NetworkTeacher, timm_teacher
from dbot.params.teachers import TimmTeacher
from tests.measure.networks import architecture, asymmetric, classifier, symmetric


def foreign(model: str, size: int) -> NetworkTeacher:
    declared = TimmTeacher(kind="timm", model=model, weights="random", image_size=size, projection=False, data="none", licence="none")
    return timm_teacher(declared, final_norm=False)


@pytest.mark.parametrize("build", [asymmetric, symmetric])
@pytest.mark.parametrize(
    "figures",
    [
        {"depth": 1, "heads": 4, "image_size": 12},
        {"depth": 5, "heads": 1, "image_size": 28, "patch_size": 14, "width": 24},
    ],
)
def test_both_designs_of_any_figures(build, figures):
    asked, found = architecture(**figures), anatomy_of(build(**figures))
    side = asked.image_size // asked.patch_size
    assert (found.depth, found.heads, found.width) == (asked.depth, asked.heads, asked.width)
    assert (found.grid, found.patch, found.prefix) == ((side, side), (asked.patch_size,) * 2, 1)


def test_a_classifier():
    assert anatomy_of(classifier()).depth == 2


@pytest.mark.parametrize(("model", "size", "prefix"), [("vit_tiny_patch16_224", 32, 1), ("vit_small_patch14_reg4_dinov2", 28, 5)])
def test_a_plain_vit_as_foreign_teacher(model, size, prefix):
    teacher = foreign(model, size)
    found = anatomy_of(teacher)
    assert (found.grid, found.prefix, found.depth) == ((2, 2), prefix, 12)
    assert found.run is teacher, "it normalises and resizes pixels itself"


def test_our_own_teacher(paper):
    encoder = asymmetric()
    teacher = EncoderTeacher(encoder, False, paper.normalisation)
    found = anatomy_of(teacher)
    assert found.blocks == tuple(encoder.blocks)
    assert found.run is teacher


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (lambda: nn.Linear(2, 2), "a Linear has no attention by layer and head"),
        (lambda: foreign("resnet18", 32), "a ResNet has no attention by layer and head"),
        (lambda: build_encoder(architecture(), depth=0), "no block"),
        (lambda: timm.create_model("vit_base_patch16_xp_224", img_size=32, depth=1), r"a way of its own \(ParallelScalingBlock\)"),
    ],
)
def test_what_cannot_be_looked_at_is_one_line(network, said):
    with torch.random.fork_rng(), pytest.raises(UserError, match=said) as caught:
        anatomy_of(network())
    assert "\n" not in str(caught.value)
