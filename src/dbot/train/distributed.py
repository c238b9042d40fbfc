"""Processes that train together: one on a laptop, one a GPU under torchrun."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from dbot.base.errors import UserError

T = TypeVar("T")
LONGEST_WAIT = timedelta(days=7)
"""How long processes wait for each other where nothing is wrong; a device's collectives have torch's own, shorter limit."""


@dataclass(frozen=True)
class Processes:
    """This process among all."""

    rank: int
    world: int
    device: torch.device
    messages: distributed.ProcessGroup | None = None
    """How processes exchange what is on their CPUs, whatever their devices are doing."""

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    @property
    def device_name(self) -> str:
        """Kind of device, as a receipt names it."""
        return "cpu" if self.device.type == "cpu" else torch.cuda.get_device_name(self.device)

    def barrier(self) -> None:
        """Wait for all, for days if need be: one of them may stage data, or wait for an earlier attempt to end."""
        if self.world > 1:
            distributed.barrier(self.messages)

    def sum(self, values: Tensor) -> Tensor:
        """The element-wise sum over all processes, on each of them; in place."""
        if self.world > 1:
            distributed.all_reduce(values)
        return values

    def largest(self, value: int) -> Callable[[], int]:
        """Begin to find the largest of all processes' values; call what is returned to have it."""
        if self.world == 1:
            return lambda: value
        found = torch.tensor([value])
        work = distributed.all_reduce(found, distributed.ReduceOp.MAX, self.messages, async_op=True)

        def wait() -> int:
            work.wait()
            return int(found)

        return wait

    def gather(self, values: Tensor) -> Tensor:
        """The values of all processes, of one shape, by rank: (world, ...), on each of them."""
        if self.world == 1:
            return values.unsqueeze(0)
        gathered = values.new_empty(self.world, *values.shape)
        distributed.all_gather(list(gathered.unbind()), values.contiguous())
        return gathered

    def collect(self, mine: list[T]) -> list[T]:
        """The lists of all processes joined in the order of their ranks, on process 0; nothing on the others."""
        shares: list[list[T]] = [mine]
        if self.world > 1:
            shares = [[] for _ in range(self.world)]
            distributed.gather_object(mine, shares if self.leads else None)
        return [entry for share in shares for entry in share]

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model with gradients averaged over all processes, and rank 0's weights on each.

        On GPUs, batch norms take their statistics over all processes too; torch has no such norm for CPUs.
        """
        if self.world == 1:
            return model
        if self.device.type == "cuda":
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        devices = None if self.device.type == "cpu" else [self.device]
        return DistributedDataParallel(model, device_ids=devices, gradient_as_bucket_view=True)

    def share_buffers(self, model: nn.Module) -> None:
        """Give every process rank 0's buffers: where a batch norm saw one process's images only, its running statistics differ."""
        if self.world > 1:
            for buffer in model.buffers():
                distributed.broadcast(buffer, src=0)

    def check_same(self, model: nn.Module) -> None:
        """Stop unless every process holds the same weights, bit for bit."""
        if self.world == 1:
            return
        # Sums of the bit patterns: equal weights give equal sums whatever the values, NaN included.
        bits = [parameter.detach().float().view(torch.int32).sum(dtype=torch.int64) for parameter in model.parameters()]
        mine = torch.stack(bits).to(self.device)
        first = mine.clone()
        distributed.broadcast(first, src=0)
        differing = self.sum((mine != first).any().long())
        if differing.item():
            raise RuntimeError(f"{int(differing)} of {self.world} processes hold other weights than process 0")


def _messages() -> distributed.ProcessGroup:
    """A group of all processes that exchanges what lies in main memory, without a word to the device."""
    group = distributed.new_group(backend="gloo", timeout=LONGEST_WAIT)
    assert isinstance(group, distributed.ProcessGroup)
    return group


@contextmanager
def processes(device: str, threads: int) -> Iterator[Processes]:
    """Join the other processes (torchrun's environment says whether there are any), and leave them at the end.

    Args:
        device: `auto`, `cpu` or `cuda`.
        threads: CPU threads of this process, if the machine has as many.

    Raises:
        UserError: a GPU was asked for and there is none.
    """
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    local = int(os.environ.get("LOCAL_RANK", 0))
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("execution.device is cuda, but torch sees no GPU; set it to auto or cpu, or run where there is one")
    on_gpu = device != "cpu" and torch.cuda.is_available()
    chosen = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    torch.set_num_threads(max(1, min(threads, len(os.sched_getaffinity(0)))))
    if on_gpu:
        torch.cuda.set_device(chosen)
        torch.backends.cuda.matmul.allow_tf32 = True
    if world > 1:
        distributed.init_process_group("nccl" if on_gpu else "gloo", rank=rank, world_size=world)
    try:
        yield Processes(rank, world, chosen, _messages() if world > 1 else None)
    finally:
        if world > 1:
            distributed.destroy_process_group()
