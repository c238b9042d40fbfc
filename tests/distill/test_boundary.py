"""What survives a stage is what the recipe says, and nothing else."""

import pytest
import torch

from dbot.distill.boundary import Promoted, begin_stage
from dbot.params.teachers import RandomTeacher
from tests.train.small import ARCHITECTURE, RANDOM, recipe_like

PATCH_BIAS = "encoder.patch_embed.proj.bias"
FIXED = {"encoder.pos_embed", "decoder.pos_embed"}


@pytest.fixture
def recipe(demo):
    return recipe_like(demo.recipes.pretrain["asymmetric-B"])


@pytest.fixture
def trained(recipe):
    """A student whose every trainable weight was moved, as training does."""
    student, _ = begin_stage(ARCHITECTURE, recipe, 1, RANDOM, None, same_row=False)
    with torch.no_grad():
        for parameter in student.parameters():
            if parameter.requires_grad:
                parameter.add_(0.125)
    return student


def next_stage(recipe, trained, same_row=True, **boundary):
    changed = recipe.model_copy(update={"boundary": recipe.boundary.model_copy(update=boundary)})
    return begin_stage(ARCHITECTURE, changed, 2, None, Promoted(trained.state_dict(), ARCHITECTURE), same_row)


def kept(student, trained) -> set[str]:
    earlier = trained.state_dict()
    return {name for name, tensor in student.state_dict().items() if torch.equal(tensor, earlier[name])} - FIXED


def test_the_teacher_is_the_student_of_the_stage_before(recipe, trained):
    _, teacher = next_stage(recipe, trained)
    for name, tensor in teacher.encoder.state_dict().items():
        assert torch.equal(tensor, trained.encoder.state_dict()[name]), name
    assert not teacher.training
    assert not any(p.requires_grad for p in teacher.parameters())
    teacher.train()
    assert not teacher.training


def test_the_new_student_keeps_nothing(recipe, trained):
    student, _ = next_stage(recipe, trained)
    assert kept(student, trained) == set()


def test_the_published_code_keeps_the_patch_bias(recipe, trained):
    student, _ = next_stage(recipe, trained, keep_patch_bias=True)
    assert kept(student, trained) == {PATCH_BIAS}


def test_without_reinitialisation_it_goes_on(recipe, trained):
    student, _ = next_stage(recipe, trained, reinitialise=False)
    assert kept(student, trained) == set(trained.state_dict()) - FIXED


def test_another_rows_student_is_only_a_teacher(recipe, trained):
    student, _ = next_stage(recipe, trained, same_row=False, reinitialise=False)
    assert kept(student, trained) == set()


def test_stages_draw_different_students_and_repeat_them(recipe):
    def first(stage):
        return begin_stage(ARCHITECTURE, recipe, stage, RANDOM, None, same_row=False)[0].state_dict()

    one, again, two = first(1), first(1), first(2)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["encoder.blocks.0.attn.qkv.weight"], two["encoder.blocks.0.attn.qkv.weight"])


@pytest.mark.parametrize(("depth", "blocks"), [(None, 2), (1, 1), (0, 0)])
def test_a_random_teacher_is_the_students_first_weights(recipe, depth, blocks):
    student, teacher = begin_stage(ARCHITECTURE, recipe, 1, RANDOM.model_copy(update={"depth": depth}), None, same_row=False)
    assert len(teacher.encoder.blocks) == blocks
    for name, tensor in teacher.encoder.state_dict().items():
        assert torch.equal(tensor, student.encoder.state_dict()[name]), name


def test_an_independent_random_teacher(recipe):
    own = RandomTeacher(kind="random", weights="own", depth=None, data="none", licence="none")
    student, teacher = begin_stage(ARCHITECTURE, recipe, 1, own, None, same_row=False)
    name = "blocks.0.attn.qkv.weight"
    assert not torch.equal(teacher.encoder.state_dict()[name], student.encoder.state_dict()[name])


def test_depth_0_regresses_the_patch_embedding_and_a_constant_class_token(recipe):
    """Published `--init_teacher_encoder_depth 0`: the class token's target is the same for every image."""
    _, teacher = begin_stage(ARCHITECTURE, recipe, 1, RANDOM.model_copy(update={"depth": 0}), None, same_row=False)
    tokens = teacher(torch.randn(3, 3, 16, 16))
    assert torch.equal(tokens[0, 0], tokens[1, 0])
    assert not torch.equal(tokens[0, 1], tokens[1, 1])


def test_a_teacher_of_another_width_and_grid(recipe):
    """A larger teacher with smaller patches sees resized images; the prediction takes its width."""
    larger = ARCHITECTURE.model_copy(update={"width": 24, "patch_size": 2, "heads": 3})
    source, _ = begin_stage(larger, recipe, 1, RANDOM, None, same_row=False)
    student, teacher = begin_stage(ARCHITECTURE, recipe, 1, None, Promoted(source.state_dict(), larger), same_row=False)
    images = torch.randn(2, 3, 16, 16)
    assert teacher(images).shape == (2, 17, 24)
    assert student.decoder.predict.out_features == 24
    assert teacher.grid == 4
