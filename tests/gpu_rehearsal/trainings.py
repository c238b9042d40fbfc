"""Trainings of the paper's scale on a fake GPU: the jobs' own tasks in the real loop, on batches of the largest size."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, field, replace
from io import StringIO
from itertools import cycle, islice
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_map
from torch.utils.data import Dataset, default_collate

from dbot.commands.rehearsal import Rehearsal
from dbot.models.checkpointing import checkpoint_blocks
from dbot.params.document import Params
from dbot.plan import Job, Plan
from dbot.train import loop
from dbot.train.distributed import Processes
from dbot.train.loading import on_device
from dbot.train.state import StateStore
from dbot.train.task import Task
from tests.gpu_rehearsal.machine import GPU, Machine, Undrawn, fake_gpu
from tests.gpu_rehearsal.pretended import replaced
from tests.gpu_rehearsal.processes import fake_processes
from tests.gpu_rehearsal.watch import Answer, Place, Share, is_cuda

ALONE = Processes(0, 1, GPU)


def evenly(frame: FrameType, one: Tensor) -> int:
    """Every map of the pooler has as many boxes as the others, up to one."""
    boxes, maps = len(frame.f_locals["levels_R"]), len(frame.f_locals["self"].strides)
    return boxes // maps + (one.storage_offset() < boxes % maps)


ANSWERS: dict[str, Answer] = {"_train.<locals>.is_finite": loop.NEVER, "Pooler._by_level": evenly}
SAMPLES = 512
OBJECTS = 40
"""In an image of detection."""
SHARES: dict[str, Share] = {
    "RoIHeads.subsample": lambda count: min(count, SAMPLES),
    "Cascade.losses": lambda count: count // 4,
    **dict.fromkeys(("_proposed", "box_loss"), lambda count: count),
}
"""Of detection's samples as many are positive as may be."""
SECTIONS = {"distill": "pretrain"}
"""Of recipes, by verb, where it is named otherwise."""
DRAWN_SIDE = 96
"""Pixels of the few images that are drawn; what is made of them has the size that it has for any image."""
STEPS = 2
"""The optimizer has its moments from the second on, which is the one that is looked at."""


@dataclass
class Seen:
    """What a rehearsed training showed in its last step."""

    peak: int = 0
    """Most bytes on the device at a time."""
    waits: Counter[Place] = field(default_factory=Counter)
    doubles: Counter[Place] = field(default_factory=Counter)
    without_gradient: list[str] = field(default_factory=list)
    """Trained parameters that had none."""
    saved: dict[str, Any] | None = None
    """The last state."""


@dataclass(frozen=True)
class Variation:
    """How a job is rehearsed otherwise than its recipe and resources say."""

    recipe: dict[str, Any] = field(default_factory=dict)
    checkpointing: bool | None = None
    accumulation: int = 1
    """Forward passes in a step."""
    world: int = 1
    """Processes that train together."""
    resumed: bool = False
    """Go on from a state; the peak is then that of reading it, too."""
    sides: tuple[tuple[int, int], ...] = ()
    """Heights and widths of the images of detection, again and again. None: as they are drawn."""
    planted: Callable[[Tensor], Tensor] | None = None
    """A fault in what the network gives."""
    in_loss: Callable[[Tensor], Tensor] | None = None
    """A fault in the loss."""


AS_IT_IS = Variation()


class Rehearsals:
    """Tasks of a plan's jobs for the fake GPU.

    Args:
        plan: of a scale.
        folder: where a few images are drawn.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self._rehearsal = Rehearsal(plan, folder, ALONE)

    def of(self, job: Job, variation: Variation = AS_IT_IS) -> Seen:
        """A job's training, of two steps."""
        with fake_gpu(ANSWERS, SHARES) as machine, ExitStack() as stack:
            processes = stack.enter_context(fake_processes(variation.world)) if variation.world > 1 else ALONE
            task = self._task(job, variation.recipe)
            if variation.checkpointing:
                checkpoint_blocks(task.model)
            if (fault := variation.planted) is not None:
                task.model.register_forward_hook(lambda model, given, output: fault(output))
            if (wrong := variation.in_loss) is not None:
                right = task.loss
                task = replace(task, loss=lambda model, batch, step: wrong(right(model, batch, step)))
            return train(machine, task, self.plan, job, variation, processes)

    def _task(self, job: Job, changes: dict[str, Any]) -> Task:
        with Undrawn(), ExitStack() as stack, redirect_stdout(StringIO()):
            unread: dict[str, Callable[..., object]] = {
                "dbot.models.teachers.teacher.Teacher.digest": lambda teacher: "",
                "dbot.models.teachers.networks.NetworkTeacher._seen": _seen,
            }
            replaced(stack, unread)
            stack.enter_context(patch("dbot.commands.rehearsal.TYPICAL_SIDE", DRAWN_SIDE))
            assert self._rehearsal._manifests is not None  # there before the patch, which takes away what comes after it
            stack.enter_context(patch.dict(vars(self._rehearsal), {"_params": self._changed(job, changes)}))
            return self._rehearsal.task(job)

    def _changed(self, job: Job, changes: dict[str, Any]) -> Params:
        """The parameters with other figures in the recipe of a job."""
        params, section = self._rehearsal._params, SECTIONS.get(job.verb, job.verb)
        recipes, name = dict(getattr(params.recipes, section)), params.rows[job.key["row"]].recipe
        recipes[name] = recipes[name].model_copy(update=changes)
        return params.model_copy(update={"recipes": params.recipes.model_copy(update={section: recipes})})


def _seen(teacher: Any, title: str) -> Any:
    """Shapes of what a foreign teacher gives, which it would compute an image for."""
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        return teacher._features(torch.zeros(1, 3, teacher.image_size, teacher.image_size))


def train(machine: Machine, task: Task, plan: Plan, job: Job, variation: Variation, processes: Processes) -> Seen:
    """The loop's steps on a task; what is seen is its last step."""
    micro, seen, watch = plan.resources(job).batch_per_process or 1, Seen(), machine.watch
    passes = variation.accumulation
    batch = micro * passes * processes.world
    changes = {"compile": False, "batch_size": batch, "epochs": 1, "warmup_epochs": 0.5}
    given = _batch(task, micro, variation.sides)
    task.model.to(GPU)
    shortened = replace(
        task,
        recipe=task.recipe.model_copy(update=changes),
        images=_Many(task.images, STEPS * batch),
        evaluate=None,
        best=None,
        groups=task.groups and [{**group, "params": [machine.moved[part] for part in group["params"]]} for group in task.groups],
    )
    update = loop._update

    def batches(*args: Any) -> Iterator[Any]:
        for number in range(STEPS * passes):
            with watch.aside():  # the loader's, from pinned memory
                there = on_device(given, GPU)
            if number == (STEPS - 1) * passes or seen.saved is not None:
                watch.begin(peak=seen.saved is None)
            yield there

    def updated(optimizer: Any, scaler: Any, model: nn.Module, *rest: Any) -> bool:
        seen.without_gradient = [name for name, part in model.named_parameters() if part.requires_grad and part.grad is None]
        return update(optimizer, scaler, model, *rest)

    class Store(StateStore):
        """Keeps the last state in memory."""

        def save(self, step: int, state: dict[str, Any], given_up: object = None) -> Path:
            seen.waits, seen.doubles, seen.peak = Counter(watch.waits), Counter(watch.doubles), watch.peak
            with watch.aside():
                seen.saved = tree_map(lambda part: part.cpu() if is_cuda(part) else part, state)
            return self.folder

        def load(self) -> tuple[int, dict[str, Any]] | None:
            return None if seen.saved is None else (STEPS - 1, seen.saved)

    execution = plan.params.execution
    with ExitStack() as stack, redirect_stdout(StringIO()):
        replaced(stack, {"dbot.train.loop.batches_of": batches, "dbot.train.loop._update": updated})
        stack.enter_context(machine.computing())
        for again in range(1 + variation.resumed):
            if again:
                watch.begin()
            loop.train(shortened, Store(Path(), keep=0), processes, execution, micro, lambda history: None)
    return seen


class _Many(Dataset[Any]):
    """A few images that say they are many."""

    def __init__(self, images: Dataset[Any], count: int) -> None:
        self.images, self.count = images, count

    def __len__(self) -> int:
        return self.count


def _batch(task: Task, count: int, sides: Sequence[tuple[int, int]]) -> Any:
    """One sample, so many times, as the loader would put it together."""
    sample = task.images[0, 0]
    samples = [_of_size(*sample, *side) for side in islice(cycle(sides), count)] if sides else [sample] * count
    return (task.collate or default_collate)(samples)


def _of_size(image: Tensor, target: dict[str, Any], height: int, width: int) -> tuple[Tensor, dict[str, Any]]:
    """A sample of detection like another, of other sides and with many objects."""
    boxes, labels, masks = (target[name] for name in ("boxes", "labels", "masks"))
    told = {"boxes": boxes.new_ones(OBJECTS, 4), "labels": labels.new_ones(OBJECTS), "masks": masks.new_zeros(OBJECTS, height, width)}
    return image.new_zeros(3, height, width), {**target, **told}
