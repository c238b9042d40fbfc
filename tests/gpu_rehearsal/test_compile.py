"""What a GPU would compile, compiled here: whole, without a break, and not again in later steps; only Inductor, which writes the kernels,
is left out. Networks take the path of a GPU, in bf16."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, distributed, nn
from torch._dynamo.utils import counters
from torch.nn.parallel import DistributedDataParallel

from dbot.distill.boundary import begin_stage
from dbot.distill.objective import AsymmetricObjective, SymmetricObjective
from dbot.models import blocks
from dbot.models.checkpointing import checkpoint_blocks
from dbot.models.stochastic_depth import SubsetDropPath
from dbot.models.teachers.networks import timm_teacher
from dbot.models.teachers.package import ModuleTeacher
from dbot.params.recipes import Decoder
from dbot.params.teachers import Architecture, PackageTeacher, TimmTeacher
from dbot.tasks.classify import classifier_for
from dbot.tasks.segment import begin_segmenter
from tests.tasks import small_segmentation
from tests.train.small import ARCHITECTURE, AS_THEY_ARE, RANDOM, recipe_like

Step = Callable[[nn.Module, int], Tensor]
"""A loss of (the model, that number of images)."""
DESIGNS = {"asymmetric-B": AsymmetricObjective, "symmetric": SymmetricObjective}


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A GPU computes every branch that drop path may drop; on a CPU how many are kept would break the graph."""
    on_a_cpu = blocks.kept_samples

    def kept(tokens: Tensor, drop_path: nn.Module) -> tuple[Tensor | None, float]:
        return on_a_cpu(tokens, drop_path) if isinstance(drop_path, SubsetDropPath) else (None, 1.0)

    monkeypatch.setattr(blocks, "kept_samples", kept)
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


@pytest.fixture
def alone() -> Iterator[None]:
    """A group of one process, whose gradients DDP averages as it would those of many."""
    distributed.init_process_group("gloo", rank=0, world_size=1, store=distributed.HashStore())
    yield
    distributed.destroy_process_group()


@contextmanager
def never_again() -> Iterator[None]:
    """Whatever is compiled from here on is an error."""
    before = counters["stats"]["unique_graphs"]
    with torch._dynamo.config.patch(error_on_recompile=True):
        yield
    assert counters["stats"]["unique_graphs"] == before


def compile_whole(*parts: nn.Module) -> None:
    for part in parts:
        part.compile(backend="aot_eager", fullgraph=True)


def take_steps(model: nn.Module, step: Step, count: int, passes: int = 1, images: int = 4) -> None:
    for _ in range(count):
        for number in range(passes):
            quiet = isinstance(model, DistributedDataParallel) and number < passes - 1
            with model.no_sync() if quiet else torch.enable_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
                step(model, images).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
        model.zero_grad()


def two_then_no_more(model: nn.Module, step: Step, passes: int = 1) -> None:
    """The first steps compile, later ones don't."""
    take_steps(model, step, 2, passes)
    assert counters["stats"]["unique_graphs"]
    with never_again():
        take_steps(model, step, 2, passes)


def only_ddp_breaks() -> None:
    """DDP breaks the graph before the network and where it makes its buckets anew; nothing else does."""
    own = ("Reducer._rebuild_buckets", "DistributedDataParallel._inside_ddp_forward")
    assert [reason for reason in counters["graph_break"] if not any(name in reason for name in own)] == []


def distillation(demo, design, **changes) -> tuple[nn.Module, nn.Module, Step]:
    recipe = recipe_like(demo.recipes.pretrain[design], **{"drop_path": 0.4, "shortcuts": True, **changes})
    if design == "asymmetric-B":
        recipe = recipe.model_copy(update={"decoder": Decoder(width=8, depth=2, heads=2)})
    student, teacher = begin_stage(ARCHITECTURE, recipe, 1, RANDOM, AS_THEY_ARE)
    objective = DESIGNS[design](teacher, recipe)

    def step(model: nn.Module, count: int) -> Tensor:
        images, noise = torch.rand(count, 3, 16, 16), torch.rand(count * recipe.masks_per_image, 16)
        return objective(model, images, noise if design == "asymmetric-B" else noise < 0.4, images)

    return student.train(), teacher, step


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize(
    "how", ["plain", pytest.param("subset", marks=pytest.mark.slow), pytest.param("checkpointing", marks=pytest.mark.slow)]
)
def test_a_student_and_its_teacher(demo, design, how):
    student, teacher, step = distillation(demo, design, drop_path_subset=how == "subset")
    if how == "checkpointing":
        checkpoint_blocks(student)
    compile_whole(student, teacher)
    two_then_no_more(student, step)
    assert counters["stats"]["unique_graphs"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("design", DESIGNS)
def test_a_student_of_several_processes_that_accumulates(demo, design, alone):
    student, teacher, step = distillation(demo, design)
    wrapped = DistributedDataParallel(student, gradient_as_bucket_view=True)
    wrapped.compile(backend="aot_eager")
    compile_whole(teacher)
    two_then_no_more(wrapped, step, passes=2)
    only_ddp_breaks()


TEACHERS = {
    "clip": lambda: timm_teacher(
        TimmTeacher(
            kind="timm",
            model="vit_base_patch16_clip_quickgelu_224",
            weights="random",
            image_size=32,
            projection=True,
            data="none",
            licence="none",
        ),
        final_norm=False,
    ),
    "package": lambda: ModuleTeacher(
        PackageTeacher(
            kind="package",
            network="torchvision.models.resnet18",
            arguments={},
            weights=None,
            module="layer3",
            image_size=32,
            mean=[0.5] * 3,
            std=[0.5] * 3,
            data="none",
            licence="none",
        )
    ),
}


@pytest.mark.parametrize("kind", ["package", pytest.param("clip", marks=pytest.mark.slow)])
def test_a_teacher_from_elsewhere_on_crops_of_another_size(kind):
    teacher = TEACHERS[kind]()
    compile_whole(teacher)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        teacher(torch.rand(2, 3, 16, 16))
        with never_again():
            teacher(torch.rand(2, 3, 16, 16))
    assert counters["stats"]["unique_graphs"] == 1


def classification(demo, design) -> tuple[nn.Module, Step]:
    model = classifier_for(ARCHITECTURE, demo.recipes.finetune[design].model_copy(update={"image_size": 16}), 3, None, drop_path=0.4)

    def step(classifier: nn.Module, count: int) -> Tensor:
        return nn.functional.cross_entropy(classifier(torch.rand(count, 3, 16, 16)).float(), torch.arange(count) % 3)

    return model.train(), step


@pytest.mark.slow
@pytest.mark.parametrize("design", ["asymmetric-B", "symmetric-B"])
def test_a_classifier_and_its_evaluation_whose_last_batch_is_partial(demo, design):
    model, step = classification(demo, design)
    compile_whole(model)
    two_then_no_more(model, step)

    def evaluate(sizes: list[int]) -> None:
        model.eval()
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            for size in sizes:
                model(torch.rand(size, 3, 16, 16))
        model.train()

    evaluate([4, 4, 3])
    with never_again():
        take_steps(model, step, 1)
        evaluate([4, 4, 3, 2])


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_classifier_of_several_processes(demo, alone, checkpointing):
    model, step = classification(demo, "asymmetric-B")
    if checkpointing:
        checkpoint_blocks(model)
    wrapped = DistributedDataParallel(model, gradient_as_bucket_view=True)
    wrapped.compile(backend="aot_eager")
    two_then_no_more(wrapped, step, passes=2)
    only_ddp_breaks()


DENSE = Architecture(title="dense", image_size=16, patch_size=4, width=16, depth=2, heads=2, mlp_ratio=2)


def segmentation(design: str) -> tuple[nn.Module, Step]:
    symmetric = {"design": "symmetric", "absolute_positions": False, "relative_positions": True, "layer_scale": 0.1}
    recipe = small_segmentation.recipe(drop_path=0.3, **(symmetric if design == "symmetric" else {}))
    segmenter = begin_segmenter(DENSE, recipe, 3, 0, None, "")

    def step(model: nn.Module, count: int) -> Tensor:
        return sum(logits.float().square().mean() for logits in model(torch.rand(count, 3, 16, 16)))

    return segmenter.train(), step


@pytest.mark.slow
@pytest.mark.parametrize("design", ["asymmetric", "symmetric"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_segmenter(design, checkpointing):
    segmenter, step = segmentation(design)
    if checkpointing:
        checkpoint_blocks(segmenter)
    compile_whole(segmenter)
    two_then_no_more(segmenter, step)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_encoder_alone_of_a_segmenter_of_several_processes(alone, checkpointing):
    segmenter, step = segmentation("asymmetric")
    if checkpointing:
        checkpoint_blocks(segmenter)
    wrapped = DistributedDataParallel(segmenter, gradient_as_bucket_view=True)
    compile_whole(segmenter.pyramid.encoder)
    two_then_no_more(wrapped, step, passes=2)
    only_ddp_breaks()
