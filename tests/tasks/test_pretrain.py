"""A symmetric stage in the loop: its samples, that it learns, that it repeats itself."""

import shutil
from dataclasses import replace

import pytest
import torch

from dbot.base.errors import UserError
from dbot.data.labelled import TrainingImages
from dbot.data.transforms import views_transform
from dbot.distill.boundary import Promoted, begin_stage
from dbot.distill.samples import MaskedViews
from dbot.models.teachers.teacher import Teacher
from dbot.params.recipes import Blocks
from dbot.tasks.pretrain import pretrain_task
from tests.processes import together
from tests.train.small import ALONE, ARCHITECTURE, AS_THEY_ARE, RANDOM, execution_like, recipe_like, run, without_times

BLOCKS = Blocks(patches=6, minimum=2, aspect=0.3)


class Colours(Teacher):
    """A foreign teacher without a class token, which sees twice the student's size: the mean colour of each patch, repeated."""

    def __init__(self) -> None:
        super().__init__(32, AS_THEY_ARE)
        self.width, self.grid, self.has_class_token = 6, 4, False
        self.seen: tuple[int, float, float] | None = None

    def forward(self, pixels):
        self.seen = pixels.shape[-1], pixels.min().item(), pixels.max().item()
        return torch.nn.functional.avg_pool2d(pixels, 8).flatten(2).transpose(1, 2).repeat(1, 1, 2)


@pytest.fixture
def recipe(demo):
    return recipe_like(demo.recipes.pretrain["symmetric"])


def begun(recipe, manifest, demo, foreign=None):
    student, teacher = begin_stage(ARCHITECTURE, recipe, 1, foreign or RANDOM, demo.normalisation)
    return pretrain_task("test", student, teacher, recipe, 1, manifest, demo.normalisation)


def samples(manifest, demo, sizes, seed=0):
    images = TrainingImages(manifest, views_transform(demo.recipes.pretrain["symmetric"].augmentation, sizes), seed)
    return MaskedViews(images, 4, BLOCKS, seed)


def test_a_sample_depends_on_seed_epoch_and_image_alone(manifest, demo):
    forward = [samples(manifest, demo, (16, 32))[where] for where in [(0, 1), (0, 2), (1, 1)]]
    torch.rand(7)  # whatever was drawn in between
    backward = [samples(manifest, demo, (16, 32))[where] for where in [(1, 1), (0, 2), (0, 1)]]
    for a, b in zip(forward, reversed(backward), strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    view, mask, larger = forward[0]
    assert (view.shape, mask.shape, larger.shape) == ((3, 16, 16), (1, 16), (3, 32, 32))
    masks = [samples(manifest, demo, (16, 16), seed)[epoch, 1][1][0] for seed in range(3) for epoch in range(3)]
    assert len({tuple(m.tolist()) for m in masks}) > 5, "other seeds and epochs, other masks"


def test_the_mask_does_not_depend_on_the_views(manifest, demo):
    (_, alone), (_, beside, _) = samples(manifest, demo, (16, 16))[0, 3], samples(manifest, demo, (16, 32))[0, 3]
    assert torch.equal(alone, beside)


def test_learns(recipe, manifest, demo, tmp_path):
    task = begun(recipe.model_copy(update={"epochs": 12}), manifest, demo)
    history = run(task, tmp_path, execution_like(demo.execution)).history
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]


def test_a_teacher_of_another_size_without_a_class_token(recipe, manifest, demo, tmp_path):
    teacher = Colours()
    recipe = recipe.model_copy(update={"target": recipe.target.model_copy(update={"normalise": False})})
    history = run(begun(recipe, manifest, demo, teacher), tmp_path, execution_like(demo.execution)).history
    assert history[-1]["loss"] < history[0]["loss"]
    size, least, most = teacher.seen
    assert size == 32
    assert 0 <= least < most <= 1


@pytest.mark.usefixtures("state_at_every_step")
def test_goes_on_bit_for_bit(recipe, manifest, demo, tmp_path):
    """From the first state, and with other numbers of loader processes."""
    recipe = recipe.model_copy(update={"drop_path": 0.3})
    whole, cut = begun(recipe, manifest, demo), begun(recipe, manifest, demo)
    outcome = run(whole, tmp_path / "whole", execution_like(demo.execution))
    run(begun(recipe, manifest, demo), tmp_path / "cut", execution_like(demo.execution, states_kept=999))
    for state in sorted((tmp_path / "cut").iterdir())[1:]:
        state.unlink()
    resumed = run(cut, tmp_path / "cut", execution_like(demo.execution, workers=2))
    assert all(torch.equal(t, cut.model.state_dict()[n]) for n, t in whole.model.state_dict().items())
    assert without_times(resumed.history) == without_times(outcome.history)


@pytest.mark.parametrize("absolute", [False, True])
def test_a_second_stage(recipe, manifest, demo, tmp_path, absolute):
    """The student becomes the teacher, and its successor learns from it: what the published code doesn't do."""
    recipe = recipe.model_copy(update={"absolute_positions": absolute})
    first = begun(recipe, manifest, demo, Colours())
    run(first, tmp_path / "1", execution_like(demo.execution))
    promoted = Promoted(first.model.state_dict(), ARCHITECTURE, "symmetric", same_row=True)
    student, teacher = begin_stage(ARCHITECTURE, recipe, 2, promoted, demo.normalisation)
    assert student.predict.out_features == ARCHITECTURE.width
    for name, tensor in teacher.encoder.state_dict().items():
        assert torch.equal(tensor, first.model.encoder.state_dict()[name]), name
    second = pretrain_task("test", student, teacher, recipe, 2, manifest, demo.normalisation)
    history = run(second, tmp_path / "2", execution_like(demo.execution)).history
    assert history[-1]["loss"] < history[0]["loss"]


def trained(group, folder):
    from pathlib import Path

    from dbot.data.manifest import read_manifest
    from dbot.params.load import load
    from tests.conftest import PROJECT

    demo = load(PROJECT / "params.yaml", "demo").params
    task = begun(recipe_like(demo.recipes.pretrain["symmetric"], epochs=2), read_manifest(Path((folder / "manifest").read_text())), demo)
    outcome = run(task, folder / "state", execution_like(demo.execution), group)
    return {"weights": task.model.state_dict(), "steps": outcome.steps}


def test_two_processes_hold_the_same_student(manifest, tmp_path):
    (tmp_path / "manifest").write_text(str(manifest.folder))
    first, second = together(trained, tmp_path)
    assert all(torch.equal(tensor, second["weights"][name]) for name, tensor in first["weights"].items())
    assert first["steps"] == second["steps"] > 0


@pytest.mark.usefixtures("state_at_every_step")
@pytest.mark.parametrize("design", ["asymmetric-B", "symmetric"])
def test_a_momentum_teacher_follows_and_resumes(manifest, demo, tmp_path, design):
    """It moves towards the student at every step, and a killed run goes on with the teacher it had."""
    recipe = recipe_like(demo.recipes.pretrain[design], teacher_momentum=0.9)
    whole, cut = begun(recipe, manifest, demo), begun(recipe, manifest, demo)
    begins = {name: tensor.clone() for name, tensor in whole.companion.state_dict().items()}
    run(whole, tmp_path / "whole", execution_like(demo.execution))
    run(begun(recipe, manifest, demo), tmp_path / "cut", execution_like(demo.execution, states_kept=999))
    for state in sorted((tmp_path / "cut").iterdir())[1:]:
        state.unlink()
    run(cut, tmp_path / "cut", execution_like(demo.execution))
    assert any(not torch.equal(tensor, begins[name]) for name, tensor in whole.companion.state_dict().items())
    for part in ("model", "companion"):
        theirs = getattr(cut, part).state_dict()
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in getattr(whole, part).state_dict().items()), part


class Counting(Colours):
    """Counts how often, and how many images, it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def forward(self, pixels):
        self.batches.append(len(pixels))
        return super().forward(torch.nn.functional.interpolate(pixels, 32))


@pytest.mark.parametrize("design", ["asymmetric-B", "symmetric"])
def test_several_masks_share_one_pass_of_the_teacher(manifest, demo, tmp_path, design):
    changes = {"epochs": 1, "warmup_epochs": 0, "class_token_in_loss": False, "masks_per_image": 3}
    recipe = recipe_like(demo.recipes.pretrain[design], **changes)
    recipe = recipe.model_copy(update={"target": recipe.target.model_copy(update={"normalise": False})})
    teacher = Counting()
    task = begun(recipe, manifest, demo, teacher)
    seen = []
    task.model.register_forward_hook(lambda model, given, found: seen.append(given))
    outcome = run(task, tmp_path, execution_like(demo.execution))
    assert teacher.batches == [8] * outcome.steps
    assert [len(given[0]) for given in seen] == [24] * outcome.steps
    views, hides = seen[0][0], seen[0][1]
    assert torch.equal(views[:8], views[8:16]), "the same crops"
    assert not torch.equal(hides[:8], hides[8:16]), "under other masks"


def test_the_first_mask_is_the_same_however_many_there_are(manifest, demo):
    images = TrainingImages(manifest, views_transform(demo.recipes.pretrain["symmetric"].augmentation, (16,)), 0)
    one, three = (MaskedViews(images, 4, BLOCKS, 0, masks)[0, 1][1] for masks in (1, 3))
    assert one.shape == (1, 16)
    assert torch.equal(one[0], three[0])
    assert len({tuple(mask.tolist()) for mask in three}) > 1


def of_several_masks(group, folder):
    from pathlib import Path

    from dbot.data.manifest import read_manifest
    from dbot.params.load import load
    from tests.conftest import PROJECT

    demo = load(PROJECT / "params.yaml", "demo").params
    recipe = recipe_like(demo.recipes.pretrain["asymmetric-B"], epochs=1, warmup_epochs=0, masks_per_image=2)
    task = begun(recipe, read_manifest(Path((folder / "manifest").read_text())), demo)
    run(task, folder / "state", execution_like(demo.execution), group)
    return {"weights": task.model.state_dict()}


def test_several_masks_on_two_processes_are_those_of_one(manifest, tmp_path):
    (tmp_path / "manifest").write_text(str(manifest.folder))
    first, second = together(of_several_masks, tmp_path)
    (tmp_path / "alone").mkdir()
    shutil.copy(tmp_path / "manifest", tmp_path / "alone")
    alone = of_several_masks(ALONE, tmp_path / "alone")
    for name, tensor in first["weights"].items():
        assert torch.equal(tensor, second["weights"][name]), name
        torch.testing.assert_close(tensor, alone["weights"][name], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("design", ["asymmetric-B", "symmetric"])
def test_subsets_change_nothing_where_nothing_is_dropped(manifest, demo, tmp_path, design):
    losses = []
    for subset in (False, True):
        recipe = recipe_like(demo.recipes.pretrain[design], epochs=1, warmup_epochs=0, drop_path=0.0, drop_path_subset=subset)
        losses.append(run(begun(recipe, manifest, demo), tmp_path / str(subset), execution_like(demo.execution)).history[-1]["loss"])
    assert losses[0] == losses[1]


@pytest.mark.parametrize("design", ["asymmetric-B", "symmetric"])
def test_a_forward_pass_too_small_for_its_subset_is_refused(manifest, demo, tmp_path, design):
    recipe = recipe_like(demo.recipes.pretrain[design], epochs=1, warmup_epochs=0, drop_path=0.05, drop_path_subset=True)
    wanted = (
        r"^drop_path_subset: of 8 images in a forward pass no share of 0.05 can be dropped; .* 10 or more, or drop_path_subset to false$"
    )
    with pytest.raises(UserError, match=wanted):
        run(begun(recipe, manifest, demo), tmp_path, execution_like(demo.execution))


def test_student_and_teacher_are_compiled_but_on_a_cpu(recipe, manifest, demo, tmp_path):
    task, wrapped = begun(recipe.model_copy(update={"compile": True}), manifest, demo), torch.nn.Module()
    student, teacher = task.compiled(wrapped)
    assert student is wrapped
    assert isinstance(teacher, Teacher)

    def never(model):
        raise AssertionError("a CPU runs networks as they are")

    run(replace(task, compiled=never), tmp_path, execution_like(demo.execution))
