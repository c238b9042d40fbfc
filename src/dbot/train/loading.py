"""Batches of a training: read by loaders, fetched ahead, on the device."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from dbot.base.errors import UserError
from dbot.train.batches import TrainingOrder
from dbot.train.stopping import SIGNALS
from dbot.train.task import Task


def batches_of(task: Task, order: TrainingOrder, workers: int, device: torch.device) -> Iterator[Any]:
    """Batches on the device, fetched ahead.

    Raises:
        UserError: an image can't be read, in the words of whoever read it.
    """
    helpers = min(workers, len(os.sched_getaffinity(0)))
    collate = task.collate or default_collate
    loader = DataLoader(
        _Told(task.images) if helpers else task.images,
        batch_sampler=order,
        num_workers=helpers,
        collate_fn=_Together(collate) if helpers else collate,
        pin_memory=device.type == "cuda",
        worker_init_fn=_outlive_the_wish_to_stop,
    )
    for batch in loader:
        if isinstance(batch, _Mistake):
            raise UserError(*batch.problems)
        yield _on_device(batch, device)


@dataclass(frozen=True)
class _Mistake:
    """A UserError on its way out of a loader: as an error it would come with torch's words and a traceback."""

    problems: tuple[str, ...]


class _Told(Dataset[Any]):
    """Images, or what is wrong with one."""

    def __init__(self, images: Dataset[Any]) -> None:
        self.images = images

    def __getitem__(self, where: Any) -> Any:
        try:
            return self.images[where]
        except UserError as error:
            return _Mistake(error.problems)


@dataclass(frozen=True)
class _Together:
    """A batch, or the first mistake in it."""

    collate: Callable[[list[Any]], Any]

    def __call__(self, entries: list[Any]) -> Any:
        mistake = next((entry for entry in entries if isinstance(entry, _Mistake)), None)
        return self.collate(entries) if mistake is None else mistake


def _on_device(batch: Any, device: torch.device) -> Any:
    """A nest of lists, tuples and dicts with its tensors on the device."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {name: _on_device(part, device) for name, part in batch.items()}
    if isinstance(batch, list | tuple):
        return [_on_device(part, device) for part in batch]
    return batch


def _outlive_the_wish_to_stop(worker: int) -> None:
    """A signal to the whole job also reaches its loaders, which have to serve the step that is still to be finished."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
