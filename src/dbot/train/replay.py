"""Doing a step again that was not finite, and looking at it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

import torch
from torch import Tensor, nn

from dbot.base.errors import UserError
from dbot.base.seeds import seed_step
from dbot.params.scales import ExecutionSettings
from dbot.train.batches import Sample
from dbot.train.distributed import Processes
from dbot.train.incident import Incident, NonFinite
from dbot.train.loop import train
from dbot.train.state import StateStore, is_whole, read
from dbot.train.task import Step, Task


@dataclass
class Replayed:
    """What a step was found to be."""

    losses: list[float] = field(default_factory=list)
    """Of each forward pass of each process."""
    gradient_norm: float = 0.0
    """Of the gradients of all passes, before clipping."""
    first: str | None = None
    """The first module of what is trained whose output is not finite, and of those that hold each other the innermost."""
    weights: list[str] = field(default_factory=list)
    """Weights that were not finite before the step."""
    images: list[Sample] = field(default_factory=list)
    """Images of the batch that are not finite themselves."""

    @property
    def loss(self) -> float:
        """The step's, as the loop would report it."""
        return sum(self.losses) / len(self.losses)

    @property
    def is_finite(self) -> bool:
        """Whether nothing of it went wrong: then it is not the step that was captured."""
        return all(torch.tensor([*self.losses, self.gradient_norm]).isfinite().tolist()) and not self.weights


class _Done(Exception):
    """The step has been looked at; the loop need not go on."""


class _Pinned(StateStore):
    """One state, to be read only."""

    def __init__(self, state: Path | None) -> None:
        super().__init__(state.parent if state is not None else Path(), keep=1)
        self.state = state

    def load(self) -> tuple[int, dict[str, Any]] | None:
        if self.state is None:
            return None
        if not self.state.is_file() or not is_whole(self.state):
            raise UserError(f"{self.state}: is missing or damaged, and the step can't be done again without the state before it")
        return read(self.state)

    def save(self, step: int, state: dict[str, Any], given_up: Event | None = None) -> Path:
        return Path()


def replay(task: Task, incident: Incident, device: torch.device, execution: ExecutionSettings) -> Replayed:
    """Train from the state before an incident up to its step, and look at that.

    One process does what several did, pass by pass: all draws are the same; the sums of gradients
    then differ in their last bits. The network is not compiled.

    Raises:
        UserError: the state is gone, or the training is not finite before it comes to the step.
    """
    found, world = Replayed(), incident.world

    def loss(model: nn.Module, batch: Any, step: Step) -> Tensor:
        # In the loop's eyes one process has world times as many passes.
        rank, pass_number = step.pass_number % world, step.pass_number // world
        seed_step(task.seed, "step", step.number, pass_number, rank)
        if step.number < incident.step:
            return task.loss(model, batch, step)
        if step.pass_number == 0:
            found.weights = [name for name, value in model.state_dict().items() if not _is_finite(value)]
        samples = incident.images[step.layout.places(step.pass_number)]
        found.images += [samples[i] for i in _odd(batch, len(samples))]
        with _watched(model, found):
            value = task.loss(model, batch, step)
        found.losses.append(float(value.detach()))
        with torch.autocast(device.type, enabled=False):
            (value.float() / step.layout.accumulation).backward()
        if step.pass_number + 1 < step.layout.accumulation:
            return torch.zeros((), device=device, requires_grad=True)  # what it adds to the gradients is there already
        found.gradient_norm = float(nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None]))
        raise _Done

    # What was passed over is known, and nothing more shall be.
    policy = "skip" if task.recipe.non_finite == "skip" else "stop"
    recipe = task.recipe.model_copy(update={"non_finite": policy, "compile": False})
    again = replace(task, recipe=recipe, loss=loss, evaluate=None, best=None)
    quiet = execution.model_copy(update={"state_every_seconds": float("inf")})
    try:
        train(
            again,
            _Pinned(incident.state),
            Processes(0, 1, device),
            quiet,
            incident.micro,
            after_epoch=lambda history: None,
            passed_over=incident.passed_over,
        )
    except _Done:
        return found
    except NonFinite as error:
        raise UserError(
            f"{error}: that is before the step to be replayed; this is not the machine, device or code that it happened with"
        ) from None
    raise AssertionError("the training ended before the step")


@contextmanager
def _watched(model: nn.Module, found: Replayed) -> Iterator[None]:
    """Note the first module that gives something that is not finite."""

    def look(name: str) -> Any:
        def hook(module: nn.Module, given: Any, output: Any) -> None:
            if found.first is None and not _is_finite(output):
                found.first = name or type(module).__name__

        return hook

    handles = [module.register_forward_hook(look(name)) for name, module in model.named_modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_finite(value: Any) -> bool:
    """Whether every tensor in a nest of lists, tuples and dicts is finite."""
    if isinstance(value, Tensor):
        return bool(value.isfinite().all())
    if isinstance(value, dict):
        return all(_is_finite(part) for part in value.values())
    if isinstance(value, list | tuple):
        return all(_is_finite(part) for part in value)
    return True


def _odd(batch: Any, count: int) -> list[int]:
    """Places in a batch of ``count`` images where a value is not finite."""
    parts = batch if isinstance(batch, list | tuple) else [batch]
    odd = [i for part in parts if not isinstance(part, dict) and len(part) == count for i in range(count) if not _is_finite(part[i])]
    return sorted(set(odd))
