"""Images for training and for measuring: read by loaders, fetched ahead, on the device."""

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
from dbot.train.distributed import Processes
from dbot.train.stopping import SIGNALS
from dbot.train.task import Task


def batches_of(task: Task, order: TrainingOrder, workers: int, device: torch.device) -> Iterator[Any]:
    """Batches of a training on the device, fetched ahead.

    Raises:
        UserError: an image can't be read, in the words of whoever read it.
    """
    return _loaded(task.images, task.collate or default_collate, workers, device, batch_sampler=order)


def one_by_one(images: Dataset[Any], processes: Processes) -> Iterator[Any]:
    """What a data set holds, in its order, as it gives it, on the device.

    Raises:
        UserError: an image can't be read, in the words of whoever read it.
    """
    return _loaded(images, _as_it_is, processes.workers, processes.device, batch_size=None)


def by_batch(images: Dataset[Any], size: int, processes: Processes) -> Iterator[Any]:
    """What a data set holds, in its order, in batches of at most so many, on the device.

    Raises:
        UserError: an image can't be read, in the words of whoever read it.
    """
    return _loaded(images, default_collate, processes.workers, processes.device, batch_size=size)


def _loaded(images: Dataset[Any], collate: Callable[[Any], Any], workers: int, device: torch.device, **how: Any) -> Iterator[Any]:
    """What a `DataLoader` gives that is told how to batch."""
    helpers = min(workers, len(os.sched_getaffinity(0)))
    loader = DataLoader(
        _Told(images) if helpers else images,
        num_workers=helpers,
        collate_fn=_Together(collate) if helpers else collate,
        pin_memory=device.type == "cuda",
        worker_init_fn=_outlive_the_wish_to_stop,
        **how,
    )
    for batch in loader:
        if isinstance(batch, _Mistake):
            raise UserError(*batch.problems)
        yield on_device(batch, device)


def _as_it_is(entry: Any) -> Any:
    return entry


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
    """A batch (or the one entry, where there are no batches), or the first mistake in it."""

    collate: Callable[[Any], Any]

    def __call__(self, entries: Any) -> Any:
        mistake = next((entry for entry in (entries if isinstance(entries, list) else [entries]) if isinstance(entry, _Mistake)), None)
        return self.collate(entries) if mistake is None else mistake


def on_device(batch: Any, device: torch.device) -> Any:
    """A nest of lists, tuples and dicts with its tensors on the device."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {name: on_device(part, device) for name, part in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(on_device(part, device) for part in batch))
    if isinstance(batch, list | tuple):
        return [on_device(part, device) for part in batch]
    return batch


def _outlive_the_wish_to_stop(worker: int) -> None:
    """A signal to the whole job also reaches its loaders, which have to serve the step that is still to be finished."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
