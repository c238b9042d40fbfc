"""Processes that train together: one on a laptop, one a GPU under torchrun."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.nn.parallel import DistributedDataParallel

from dbot.train.device import device_of
from dbot.train.fate import one_fate

T = TypeVar("T")
LONGEST_WAIT = timedelta(days=7)
"""How long processes wait for each other where nothing is wrong: to meet, while one of them copies data, measures or writes."""
LONGEST_WAIT_OF_GPUS = timedelta(hours=1)
"""How long a GPU waits in a step; meanwhile the leading process may wait for a disk (`execution.disk_patience_seconds`)."""


@dataclass(frozen=True)
class Processes:
    """This process among all."""

    rank: int
    world: int
    device: torch.device
    messages: distributed.ProcessGroup | None = None
    """How processes exchange what is on their CPUs, whatever their devices are doing."""
    workers: int = 0
    """Loaders that this process may start, where it trains or measures."""

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
            distributed.gather_object(mine, shares if self.leads else None, group=self.messages)
        return [entry for share in shares for entry in share]

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model with gradients averaged over all processes, and rank 0's weights and buffers on each.

        On GPUs, batch norms take their statistics over all processes too; torch has no such norm for CPUs. Buffers are
        not sent again before every step: in training nothing is computed from them, and `share_buffers` is there for
        the rest. The state that is saved holds rank 0's.
        """
        if self.world == 1:
            return model
        if self.device.type == "cuda":
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        devices = None if self.device.type == "cpu" else [self.device]
        return DistributedDataParallel(model, device_ids=devices, gradient_as_bucket_view=True, forward_sync_buffers=False)

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
def processes(device: str, threads: int, workers: int = 0) -> Iterator[Processes]:
    """Join the other processes (torchrun's environment says whether there are any), and leave them at the end.

    Where one of several fails, all end (see `dbot.train.fate`).

    Args:
        device: `auto`, `cpu` or `cuda`.
        threads: CPU threads of this process, if the machine has as many.
        workers: loaders that this process may start.

    Raises:
        UserError: a GPU was asked for, or given, and there is none.
    """
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    local = int(os.environ.get("LOCAL_RANK", 0))
    torch.set_num_threads(max(1, min(threads, len(os.sched_getaffinity(0)))))
    if world == 1:
        yield Processes(rank, world, _device(device, local), workers=workers)
        return
    with one_fate(rank, world) as store:
        chosen = _device(device, local)
        group: dict[str, Any] = {"backend": "gloo", "timeout": LONGEST_WAIT}
        if chosen.type == "cuda":
            group = {"backend": "nccl", "timeout": LONGEST_WAIT_OF_GPUS, "device_id": chosen}
        distributed.init_process_group(**group, store=PrefixStore("dbot", store), rank=rank, world_size=world)
        yield Processes(rank, world, chosen, _messages(), workers)


def _device(wanted: str, local: int) -> torch.device:
    """This process's device, ready to be computed on."""
    device = device_of(wanted, local)
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.backends.cuda.matmul.allow_tf32 = True
    return device
