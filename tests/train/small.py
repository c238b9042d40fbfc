"""A training small enough to run in a test: images of noise, a tiny student against a random teacher."""

from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from dbot.base.seeds import generator, seed_host
from dbot.distill.boundary import begin_stage
from dbot.distill.objective import AsymmetricObjective
from dbot.params.recipes import AsymmetricPretrain, Blocks, SymmetricPretrain
from dbot.params.scales import ExecutionSettings, Normalisation
from dbot.params.teachers import Architecture, RandomTeacher
from dbot.train.distributed import Processes
from dbot.train.loop import Outcome, train
from dbot.train.state import StateStore
from dbot.train.task import Metrics, Step, Task

ARCHITECTURE = Architecture(title="tiny", image_size=16, patch_size=4, width=16, depth=2, heads=2, mlp_ratio=2)
AS_THEY_ARE = Normalisation(mean=[0.0, 0.0, 0.0], std=[1.0, 1.0, 1.0])
"""Statistics that leave pixels as they are."""
RANDOM = RandomTeacher(kind="random", weights="student", depth=None, data="none", licence="none")
ALONE = Processes(0, 1, torch.device("cpu"))


class Noise(Dataset[Any]):
    """Images that depend on epoch and number; the last one is drawn from the global state, as a crop would be."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, where: tuple[int, int]) -> tuple[Tensor, int]:
        seed_host("noise", *where)
        return torch.randn(3, 16, 16), where[1]


Pretrain = TypeVar("Pretrain", AsymmetricPretrain, SymmetricPretrain)


def recipe_like(demo: Pretrain, **changes: Any) -> Pretrain:
    small: dict[str, Any] = {"epochs": 3, "warmup_epochs": 1, "batch_size": 8}
    if isinstance(demo, AsymmetricPretrain):
        small["decoder"] = demo.decoder.model_copy(update={"width": 8, "depth": 1, "heads": 2})
    else:
        small["blocks"] = Blocks(patches=6, minimum=2, aspect=0.3)
    return demo.model_copy(update={**small, **changes})


def task_of(recipe: AsymmetricPretrain, images: Dataset[Any] | None = None) -> Task:
    student, teacher = begin_stage(ARCHITECTURE, recipe, 1, RANDOM, AS_THEY_ARE)
    objective = AsymmetricObjective(teacher, recipe)

    def loss(model: nn.Module, batch: list[Tensor], step: Step) -> Tensor:
        noise = torch.rand(step.layout.batch, 16, generator=generator("mask", step.number))
        return objective(model, batch[0], noise[step.layout.places(step.pass_number)], batch[0])

    return Task("test", recipe, student, images or Noise(20), loss, seed=0)


def execution_like(demo: ExecutionSettings, **changes: Any) -> ExecutionSettings:
    return demo.model_copy(update={"progress_every_seconds": 1e9, "state_every_seconds": 1e9, **changes})


def run(
    task: Task,
    folder: Path,
    execution: ExecutionSettings,
    processes: Processes = ALONE,
    batch: int = 8,
    after: Any = lambda history: None,
    on_incident: Any = lambda incident: "",
) -> Outcome:
    return train(task, StateStore(folder, execution.states_kept), processes, execution, batch, after, on_incident)


def without_times(history: list[Metrics]) -> list[Metrics]:
    return [{k: v for k, v in metrics.items() if k not in ("images_per_second", "data_wait")} for metrics in history]
