"""Which images make up which step, on any number of processes."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.utils.data import Sampler

from dbot.base.errors import UserError
from dbot.base.seeds import generator

Sample = tuple[int, int]
"""An epoch and the number of an image: what a data set is asked for, so that it can seed its crop."""


@dataclass(frozen=True)
class BatchLayout:
    """How an effective batch is laid over processes and accumulation steps."""

    batch: int
    """Images of one optimizer step."""
    micro: int
    """Images in one forward pass of one process."""
    accumulation: int
    """Forward passes of each process in one optimizer step."""
    world: int
    rank: int

    def places(self, pass_number: int) -> slice:
        """Where this process's images of one forward pass stand in the effective batch."""
        start = (pass_number * self.world + self.rank) * self.micro
        return slice(start, start + self.micro)


def lay_out(batch: int, at_most: int, world: int, rank: int) -> BatchLayout:
    """The layout with the largest forward pass of at most ``at_most`` images that gives exactly ``batch``.

    Raises:
        UserError: the batch can't be shared evenly.
    """
    if batch % world:
        raise UserError(f"batch_size {batch} can't be shared evenly by {world} processes; use a number of GPUs that divides it")
    share = batch // world
    micro = next(size for size in range(min(at_most, share), 0, -1) if share % size == 0)
    return BatchLayout(batch, micro, share // micro, world, rank)


def steps_per_epoch(images: int, batch: int) -> int:
    """Whole batches in an epoch; what is left over is dropped, another part in every epoch.

    Raises:
        UserError: there is not one whole batch.
    """
    if images < batch:
        raise UserError(f"batch_size {batch} is more than the {images} training images; lower batch_size in the recipe or use more images")
    return images // batch


class TrainingOrder(Sampler[list[Sample]]):
    """For each forward pass of this process, the images it takes, from a given step to the last.

    Every epoch has an order of its own that depends on the seed alone.
    """

    def __init__(self, images: int, layout: BatchLayout, seed: int, first_step: int, last_step: int) -> None:
        self.images = images
        self.layout = layout
        self.seed = seed
        self.first_step = first_step
        self.last_step = last_step

    def __len__(self) -> int:
        return (self.last_step - self.first_step) * self.layout.accumulation

    def __iter__(self) -> Iterator[list[Sample]]:
        per_epoch = steps_per_epoch(self.images, self.layout.batch)
        epoch, order = -1, torch.empty(0, dtype=torch.long)
        for step in range(self.first_step, self.last_step):
            if step // per_epoch != epoch:
                epoch = step // per_epoch
                order = torch.randperm(self.images, generator=generator(self.seed, "order", epoch))
            start = step % per_epoch * self.layout.batch
            batch = order[start : start + self.layout.batch]
            for pass_number in range(self.layout.accumulation):
                yield [(epoch, int(i)) for i in batch[self.layout.places(pass_number)]]
