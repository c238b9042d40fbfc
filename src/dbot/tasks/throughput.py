"""How fast a task trains here: a few steps of the very loop, with its loader, augmentation, loss and optimizer."""

import contextlib
import io
import time
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import torch
from torch.utils.data import Dataset

from dbot.params.scales import ExecutionSettings
from dbot.train.distributed import Processes
from dbot.train.loop import train
from dbot.train.state import StateStore
from dbot.train.task import Metrics, Task

STEPS = 4
"""Optimizer steps between two looks at the clock; the first so many are not timed."""
EPOCHS = 1_000_000
"""More than anybody waits for."""
GIGA = 1e9


@dataclass(frozen=True)
class Throughput:
    """What was measured of a task."""

    images_per_second: float
    data_wait: float
    """Share of the time spent waiting for images."""
    batch: int
    """Images in one forward pass."""
    peak_memory_gb: float | None
    """Of the GPU. None: there is none."""


class _Enough(Exception):
    """It has been measured for long enough."""


class _NoState(StateStore):
    """A measurement is not resumed, and a state of a large network takes minutes to write."""

    def __init__(self) -> None:
        super().__init__(Path(), keep=0)

    def save(self, step: int, state: dict[str, Any], given_up: Event | None = None) -> Path:
        return self.folder

    def load(self) -> None:
        return None


class _Repeated(Dataset[Any]):
    """A few images as if they were many."""

    def __init__(self, images: Dataset[Any], count: int) -> None:
        self.images = images
        self.few = len(images)  # type: ignore[arg-type]
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, where: tuple[int, int]) -> Any:
        epoch, number = where
        return self.images[epoch, number % self.few]


def throughput(task: Task, processes: Processes, execution: ExecutionSettings, batch_per_process: int, seconds: float) -> Throughput:
    """Train a task for some seconds after a warm-up, one forward pass a step, and forget what it has learnt.

    The loop's epochs are so short that it looks at the clock, and waits for the GPU, every few
    steps. The learning rate stays near 0, so that random images break nothing.

    Args:
        task: what is trained.
        processes: this process, alone.
        execution: workers of the loader, as for the job itself.
        batch_per_process: most images in one forward pass.
        seconds: how long, at least.
    """
    batch = min(batch_per_process, task.recipe.batch_size)
    recipe = task.recipe.model_copy(update={"epochs": EPOCHS, "warmup_epochs": EPOCHS - 1.0, "batch_size": batch})
    unsaved = execution.model_copy(update={"state_every_seconds": float("inf")})
    shortened = replace(task, recipe=recipe, images=_Repeated(task.images, STEPS * batch), evaluate=None)
    looks: list[float] = []
    waits: list[float] = []

    def look(history: list[Metrics]) -> None:
        looks.append(time.monotonic())
        waits.append(history[-1]["data_wait"])
        if len(looks) > 1 and looks[-1] - looks[0] >= seconds:
            raise _Enough

    on_gpu = processes.device.type == "cuda"
    if on_gpu:
        torch.compiler.reset()
        torch.cuda.reset_peak_memory_stats(processes.device)
    with contextlib.suppress(_Enough), contextlib.redirect_stdout(io.StringIO()):
        train(shortened, _NoState(), processes, unsaved, batch, look)
    timed = len(looks) - 1
    return Throughput(
        images_per_second=timed * STEPS * batch / (looks[-1] - looks[0]),
        data_wait=sum(waits[1:]) / timed,
        batch=batch,
        peak_memory_gb=torch.cuda.max_memory_allocated(processes.device) / GIGA if on_gpu else None,
    )
