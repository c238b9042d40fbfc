"""Several processes of which there is but one: collectives that give back what they were given, and gradients in buckets."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, distributed, nn
from torch.library import Library, _scoped_library
from torch.testing._internal.distributed.fake_pg import FakeStore

from dbot.train.distributed import Processes
from tests.gpu_rehearsal.machine import GPU


class Bucketed(nn.Module):
    """A model whose gradients are views of one bucket that stays, as those of `DistributedDataParallel` are.

    torch's own measures times with events of a real device, and reads what fake tensors don't have.
    """

    def __init__(self, module: nn.Module, **options: Any) -> None:
        super().__init__()
        self.module = module
        trained = [part for part in module.parameters() if part.requires_grad]
        bucket = torch.empty(sum(part.numel() for part in trained), device=GPU)
        for part, view in zip(trained, bucket.split([part.numel() for part in trained]), strict=True):
            part.register_post_accumulate_grad_hook(_into(view))

    def forward(self, *args: Any) -> Any:
        return self.module(*args)

    def no_sync(self) -> Any:
        return nullcontext()


def _into(bucket: Tensor) -> Any:
    def move(part: Tensor) -> None:
        assert part.grad is not None
        if part.grad.untyped_storage()._cdata != bucket.untyped_storage()._cdata:
            part.grad = bucket.view_as(part).copy_(part.grad)

    return move


def _synchronised_norms(kernels: Library) -> None:
    """Shapes of torch's kernels for batch norms over several processes, which know them on a device alone."""

    def by_channel(count: int) -> Any:
        return lambda images, *args: tuple(images.new_empty(images.shape[1], dtype=torch.float32) for _ in range(count))

    def like(images: Tensor, *args: Any) -> Tensor:
        return torch.empty_like(images)

    kernels.impl("batch_norm_stats", by_channel(2), "Meta")
    kernels.impl("batch_norm_gather_stats_with_counts", by_channel(2), "Meta")
    kernels.impl("batch_norm_elemt", like, "Meta")
    kernels.impl("batch_norm_backward_reduce", lambda grad, images, *args: by_channel(4)(images), "Meta")
    kernels.impl("batch_norm_backward_elemt", like, "Meta")


@contextmanager
def fake_processes(world: int) -> Iterator[Processes]:
    """The first of so many processes, each with a GPU."""
    distributed.init_process_group("fake", rank=0, world_size=world, store=FakeStore())
    try:
        with patch("dbot.train.distributed.DistributedDataParallel", Bucketed), _scoped_library("aten", "IMPL") as kernels:
            _synchronised_norms(kernels)
            yield Processes(0, world, GPU, distributed.group.WORLD)
    finally:
        distributed.destroy_process_group()
