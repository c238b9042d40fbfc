"""FLOPs and weights of students, teachers and classifiers are those of the real networks."""

import pytest
import torch
from torch import nn

from dbot.distill.boundary import Promoted, begin_stage
from dbot.distill.masking import random_mask
from dbot.flops import (
    classifier,
    encoder,
    encoder_weights,
    foreign_teacher,
    random_teacher,
    student,
    student_teacher,
    student_weights,
)
from dbot.models.classifier import build_classifier
from dbot.models.symmetric import Positions, build_symmetric_classifier
from dbot.params.document import Params
from dbot.params.recipes import AsymmetricPretrain, SymmetricPretrain
from dbot.params.teachers import Architecture, PackageTeacher, RandomTeacher, TimmTeacher
from tests.flops.counted import counted

SMALL = Architecture(title="small", image_size=32, patch_size=4, width=48, depth=3, heads=3, mlp_ratio=4.0)
OTHER = SMALL.model_copy(update={"width": 64, "depth": 2, "patch_size": 8, "image_size": 64, "heads": 4})
"""As many patches, of another size."""
CLOSE = 0.01
IMAGES = 2


pytestmark = pytest.mark.usefixtures("one_thread")


def recipe_of(params: Params, name: str) -> AsymmetricPretrain | SymmetricPretrain:
    return params.recipes.pretrain[name].model_copy(update={"teacher_momentum": None})


def numbers(module: nn.Module) -> int:
    return sum(tensor.numel() for tensor in module.state_dict().values())


@pytest.mark.parametrize("own", [True, False])
def test_an_asymmetric_student(demo: Params, own: bool) -> None:
    recipe = recipe_of(demo, "asymmetric-B")
    declared = RandomTeacher(kind="random", weights="student", depth=None, data="none", licence="none")
    source: RandomTeacher | Promoted = declared
    if not own:
        theirs, _ = begin_stage(OTHER, recipe, 1, declared, demo.normalisation)
        source = Promoted(theirs.state_dict(), OTHER, "asymmetric", same_row=False)
    made, teacher = begin_stage(SMALL, recipe, 1, source, demo.normalisation)
    images, mask = torch.zeros(IMAGES, 3, 32, 32), random_mask(torch.rand(IMAGES, SMALL.grid**2), recipe.mask_ratio)
    found = student(SMALL, recipe, teacher.width)
    assert counted(lambda: made(images, mask.keep_BK, mask.restore_BN).sum()) / IMAGES == pytest.approx(
        found.training("bf16").total, rel=CLOSE
    )
    seen = random_teacher(SMALL, declared) if own else student_teacher(OTHER, SMALL.grid)
    assert seen.width == teacher.width
    assert counted(lambda: teacher(images), backward=False) / IMAGES == pytest.approx(seen.cost.inference("bf16").total, rel=CLOSE)
    assert numbers(made) == student_weights(SMALL, recipe, teacher.width)


@pytest.mark.parametrize("name", ["symmetric-B", "symmetric-absolute-B"])
def test_a_symmetric_student(demo: Params, name: str) -> None:
    recipe = recipe_of(demo, name)
    declared = RandomTeacher(kind="random", weights="student", depth=1, data="none", licence="none")
    made, teacher = begin_stage(SMALL, recipe, 1, declared, demo.normalisation)
    images, masked = torch.zeros(IMAGES, 3, 32, 32), torch.rand(IMAGES, SMALL.grid**2) < 0.4
    found = student(SMALL, recipe, teacher.width)
    assert counted(lambda: made(images, masked).sum()) / IMAGES == pytest.approx(found.training("bf16").total, rel=CLOSE)
    seen = random_teacher(SMALL, declared).cost.inference("bf16").total
    assert counted(lambda: teacher(images), backward=False) / IMAGES == pytest.approx(seen, rel=CLOSE)
    assert numbers(made) == student_weights(SMALL, recipe, teacher.width)


@pytest.mark.parametrize("design", ["asymmetric", "symmetric"])
def test_a_classifier_at_another_size(design: str) -> None:
    sized = SMALL.model_copy(update={"image_size": 64})
    if design == "asymmetric":
        made: nn.Module = build_classifier(SMALL, 10, 64, "average")
    else:
        made = build_symmetric_classifier(SMALL, Positions(), 0.1, 10, 64, "average")
    images, found = torch.zeros(IMAGES, 3, 64, 64), classifier(sized, 10)
    assert counted(lambda: made(images).sum()) / IMAGES == pytest.approx(found.training("bf16").total, rel=CLOSE)
    assert counted(lambda: made(images).sum(), backward=False) / IMAGES == pytest.approx(found.inference("bf16").total, rel=CLOSE)
    symmetric = design == "symmetric"
    weights = encoder_weights(sized, symmetric, symmetric, not symmetric, sized.depth) + 2 * sized.width + 10 * (sized.width + 1)
    assert numbers(made) == weights


def test_a_plain_vit_of_timm_is_known_by_its_name_and_a_projection_widens_its_tokens(paper: Params) -> None:
    deit, clip = foreign_teacher(paper.teachers["deit-B"]), foreign_teacher(paper.teachers["clip-L"])
    assert deit is not None
    assert clip is not None
    assert deit.cost == encoder(paper.architectures["B"], 14**2)
    assert (deit.width, clip.width) == (768, 768)
    assert clip.cost.inference("bf16").total > encoder(paper.architectures["L"], 14**2).inference("bf16").total


def test_a_network_that_its_name_does_not_tell_is_not_guessed(demo: Params) -> None:
    convnext = TimmTeacher(kind="timm", model="convnext_base", weights="hub", image_size=448, projection=False, data="", licence="")
    assert isinstance(demo.teachers["clip-B"], PackageTeacher)
    assert foreign_teacher(convnext) is None
    assert foreign_teacher(demo.teachers["clip-B"]) is None


def test_published_figures(paper: Params) -> None:
    """ViT-B/16 and ViT-L/16 take 17.6 and 61.6 billion multiply-adds at 224 px (DeiT, arXiv 2012.12877; MAE, arXiv 2111.06377)."""
    for name, billions in (("B", 17.6), ("L", 61.6)):
        found = classifier(paper.architectures[name], 1000).inference("bf16").total / 2e9
        assert found == pytest.approx(billions, rel=0.02)
