"""What survives a stage is what the recipe says, and nothing else."""

import pytest
import torch

from dbot.base.errors import UserError
from dbot.distill.boundary import Promoted, begin_stage, first_teacher, promote
from dbot.models.encoder import encode_all
from dbot.models.teachers.teacher import Teacher
from dbot.params.teachers import RandomTeacher
from tests.train.small import ARCHITECTURE, AS_THEY_ARE, RANDOM, recipe_like

PATCH_BIAS = "encoder.patch_embed.proj.bias"
FIXED = {"encoder.pos_embed", "decoder.pos_embed"}


@pytest.fixture(params=["asymmetric", "symmetric"])
def recipe(demo, request):
    return recipe_like(demo.recipes.pretrain[request.param])


@pytest.fixture
def trained(recipe):
    """A student whose every trainable weight was moved, as training does."""
    student, _ = begin_stage(ARCHITECTURE, recipe, 1, RANDOM, AS_THEY_ARE)
    with torch.no_grad():
        for parameter in student.parameters():
            if parameter.requires_grad:
                parameter.add_(0.125)
    return student


def promoted(student, recipe, architecture=ARCHITECTURE, same_row=False):
    return Promoted(student.state_dict(), architecture, recipe.design, same_row)


def next_stage(recipe, trained, same_row=True, **boundary):
    changed = recipe.model_copy(update={"boundary": recipe.boundary.model_copy(update=boundary)})
    return begin_stage(ARCHITECTURE, changed, 2, promoted(trained, recipe, same_row=same_row), AS_THEY_ARE)


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
        return begin_stage(ARCHITECTURE, recipe, stage, RANDOM, AS_THEY_ARE)[0].state_dict()

    one, again, two = first(1), first(1), first(2)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["encoder.blocks.0.attn.qkv.weight"], two["encoder.blocks.0.attn.qkv.weight"])


@pytest.mark.parametrize(("depth", "blocks"), [(None, 2), (1, 1), (0, 0)])
def test_a_random_teacher_is_the_students_first_weights(recipe, depth, blocks):
    student, teacher = begin_stage(ARCHITECTURE, recipe, 1, RANDOM.model_copy(update={"depth": depth}), AS_THEY_ARE)
    assert len(teacher.encoder.blocks) == blocks
    for name, tensor in teacher.encoder.state_dict().items():
        assert torch.equal(tensor, student.encoder.state_dict()[name]), name


def test_an_independent_random_teacher(recipe):
    own = RandomTeacher(kind="random", weights="own", depth=None, data="none", licence="none")
    student, teacher = begin_stage(ARCHITECTURE, recipe, 1, own, AS_THEY_ARE)
    name = "blocks.0.attn.qkv.weight"
    assert not torch.equal(teacher.encoder.state_dict()[name], student.encoder.state_dict()[name])


def test_depth_0_regresses_the_patch_embedding_and_a_constant_class_token(recipe):
    """Published `--init_teacher_encoder_depth 0`: the class token's target is the same for every image."""
    _, teacher = begin_stage(ARCHITECTURE, recipe, 1, RANDOM.model_copy(update={"depth": 0}), AS_THEY_ARE)
    tokens = teacher(torch.randn(3, 3, 16, 16))
    assert torch.equal(tokens[0, 0], tokens[1, 0])
    assert not torch.equal(tokens[0, 1], tokens[1, 1])


def test_a_teacher_of_another_width_and_grid(recipe):
    """A larger teacher with smaller patches sees resized images; the prediction takes its width."""
    larger = ARCHITECTURE.model_copy(update={"width": 24, "patch_size": 2, "heads": 3})
    source, _ = begin_stage(larger, recipe, 1, RANDOM, AS_THEY_ARE)
    student, teacher = begin_stage(ARCHITECTURE, recipe, 1, promoted(source, recipe, larger), AS_THEY_ARE)
    images = torch.randn(2, 3, 16, 16)
    assert teacher(images).shape == (2, 17, 24)
    assert predicting(student).out_features == 24
    assert teacher.grid == 4


def predicting(student):
    return student.decoder.predict if hasattr(student, "decoder") else student.predict


class Foreign(Teacher):
    """A teacher from elsewhere, of another width."""

    def __init__(self, grid: int = 4, has_class_token: bool = True) -> None:
        super().__init__(16, AS_THEY_ARE)
        self.width, self.grid, self.has_class_token = 24, grid, has_class_token


@pytest.mark.parametrize("reinitialise", [True, False])
def test_the_prediction_takes_each_stages_width(recipe, reinitialise):
    """From a foreign teacher's width to the student's own; all else goes on where that was asked for."""
    first, _ = begin_stage(ARCHITECTURE, recipe, 1, Foreign(), AS_THEY_ARE)
    assert predicting(first).out_features == 24
    second, _ = next_stage(recipe, first, reinitialise=reinitialise)
    assert predicting(second).out_features == ARCHITECTURE.width
    if not reinitialise:
        differing = [n for n, t in second.state_dict().items() if not torch.equal(t.flatten()[:16], first.state_dict()[n].flatten()[:16])]
        assert [name.rpartition(".")[0].endswith("predict") for name in differing] == [True] * len(differing)


def test_moments_of_another_width_are_refused(recipe):
    first, _ = begin_stage(ARCHITECTURE, recipe, 1, Foreign(), AS_THEY_ARE)
    with pytest.raises(
        UserError, match=r"keep_optimizer: .*predict\.weight has 16 outputs in this stage and 24 in the one before"
    ) as caught:
        next_stage(recipe, first, keep_optimizer=True)
    assert "\n" not in str(caught.value)


def test_a_teacher_on_another_grid_is_refused(recipe):
    with pytest.raises(UserError, match="a grid of 5 patches a side, the student's on 4"):
        begin_stage(ARCHITECTURE, recipe, 1, Foreign(grid=5), AS_THEY_ARE)


def test_a_class_token_that_the_teacher_lacks_is_refused(recipe):
    scored = recipe.model_copy(update={"class_token_in_loss": True})
    with pytest.raises(UserError, match="the teacher has no class token"):
        begin_stage(ARCHITECTURE, scored, 1, Foreign(has_class_token=False), AS_THEY_ARE)


def test_a_student_of_the_other_design_teaches_too(demo, recipe):
    other = recipe_like(demo.recipes.pretrain["symmetric" if recipe.design == "asymmetric" else "asymmetric"])
    source, _ = begin_stage(ARCHITECTURE, other, 1, RANDOM, AS_THEY_ARE)
    images = torch.randn(2, 3, 16, 16)
    _, teacher = begin_stage(ARCHITECTURE, recipe, 1, promoted(source, other), AS_THEY_ARE)
    torch.testing.assert_close(teacher(images), encode_all(source.encoder.eval(), images, recipe.target.final_norm))


def test_a_momentum_teacher_is_like_its_student(recipe, trained):
    following = recipe.model_copy(update={"teacher_momentum": 0.9})
    student, teacher = begin_stage(ARCHITECTURE, following, 2, promoted(trained, recipe), AS_THEY_ARE)
    before = {name: tensor.clone() for name, tensor in teacher.encoder.named_parameters()}
    teacher.follow(student.encoder, 0.9)
    for name, tensor in teacher.encoder.named_parameters():
        torch.testing.assert_close(tensor, 0.9 * before[name] + 0.1 * student.encoder.get_parameter(name))
    for unlike in (RANDOM.model_copy(update={"depth": 0}), Foreign()):
        with pytest.raises(UserError, match="teacher_momentum"):
            begin_stage(ARCHITECTURE, following, 1, unlike, AS_THEY_ARE)


@pytest.mark.parametrize("depth", [None, 1, 0])
@pytest.mark.parametrize("weights", ["student", "own"])
def test_a_random_teacher_by_itself_is_the_one_that_taught(recipe, depth, weights):
    declared = RANDOM.model_copy(update={"depth": depth, "weights": weights})
    _, teacher = begin_stage(ARCHITECTURE, recipe, 1, declared, AS_THEY_ARE)
    changed = recipe.model_copy(update={"drop_path": 0.5, "epochs": 99, "mask_ratio": 0.5})
    alone = first_teacher(ARCHITECTURE, changed, declared, AS_THEY_ARE)
    assert promote(alone, ARCHITECTURE.grid, True, AS_THEY_ARE).digest() == teacher.digest()
    assert promote(alone, ARCHITECTURE.grid * 2, True, AS_THEY_ARE).grid == 2 * teacher.grid
