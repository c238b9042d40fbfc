"""The one training loop: pre-training, fine-tuning and every later task run through it."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dbot.errors import UserError
from dbot.params.scales import Execution
from dbot.train.batches import TrainingOrder, lay_out, steps_per_epoch
from dbot.train.distributed import Processes
from dbot.train.optimizer import build_optimizer, restore_moments
from dbot.train.precision import autocast_type
from dbot.train.progress import Progress
from dbot.train.randomness import seed_step
from dbot.train.schedule import rate_at, set_rate
from dbot.train.state import StateStore
from dbot.train.task import Metrics, Step, Task

STOP = (signal.SIGTERM, signal.SIGUSR1)
"""Signals that come ahead of a time limit."""


class Interrupted(SystemExit):
    """The job was asked to stop, has written its state, and ends with the exit status of a terminated process."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


@dataclass
class Outcome:
    """What a training leaves: its history, the optimizer, and the weights that were best, if any were kept."""

    history: list[Metrics]
    optimizer: torch.optim.Optimizer
    steps: int
    best: dict[str, Tensor] | None


@dataclass
class Meter:
    """Sums over the steps of an epoch; those on the device are fetched only when somebody looks."""

    loss: Tensor
    """Sum of the losses, float64."""
    finite: Tensor
    """1 as long as every loss and gradient norm was finite."""
    steps: int = 0
    seconds: float = 0.0
    waiting: float = 0.0
    skipped: int = 0

    @classmethod
    def new(cls, device: torch.device) -> "Meter":
        return cls(torch.zeros((), dtype=torch.float64, device=device), torch.ones((), dtype=torch.bool, device=device))


def train(
    task: Task,
    store: StateStore,
    processes: Processes,
    execution: Execution,
    batch_per_process: int,
    after_epoch: Callable[[list[Metrics]], None],
) -> Outcome:
    """Train a task to its end, from its newest state if there is one.

    A job that is killed at any moment and started again, on the same number of processes, ends
    with the same bits as one that never was.

    Args:
        task: what is trained.
        store: where its state lies.
        processes: this process among all.
        execution: how jobs run; nothing in it changes the result.
        batch_per_process: most images in one forward pass.
        after_epoch: called on the leading process with the history so far.

    Raises:
        UserError: the batch doesn't fit the data or the processes, or the loss is not finite.
    """
    recipe, device = task.recipe, processes.device
    layout = lay_out(recipe.batch_size, batch_per_process, processes.world, processes.rank)
    images = len(task.images)  # type: ignore[arg-type]
    per_epoch = steps_per_epoch(images, recipe.batch_size)
    total = recipe.epochs * per_epoch

    model = task.model.to(device)
    optimizer = build_optimizer(model, recipe.optimizer, task.groups, fused=recipe.shortcuts)
    if task.moments is not None:
        restore_moments(optimizer, task.moments)
    autocast = autocast_type(recipe.precision)
    scaler = torch.amp.GradScaler(device.type, enabled=autocast is torch.float16)
    meter, history, best, done = Meter.new(device), list[Metrics](), None, 0
    if (stored := store.load(device)) is not None:
        done, state = stored
        model.load_state_dict(state["model"])
        if task.companion is not None:
            task.companion.load_state_dict(state["companion"])
        optimizer.load_state_dict(state["optimizer"])
        scaler.load_state_dict(state["scaler"])
        meter, history, best = Meter(**state["meter"]), state["history"], state["best"]
    processes.check_same(model)

    wrapped = processes.wrap(model)
    if recipe.compile and device.type == "cuda":
        wrapped.compile()
    progress = Progress(task.title, recipe.epochs, total, done, execution.progress_every_seconds, processes.leads)
    if done:
        progress.say(f"goes on after step {done} of {total}")
    batches = _batches(task, TrainingOrder(images, layout, task.seed, done, total), execution.workers, device)

    def save(step: int) -> None:
        _require_finite(meter, step, task.title)
        if processes.leads:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "scaler": scaler.state_dict()}
            if task.companion is not None:
                state["companion"] = task.companion.state_dict()
            store.save(step, {**state, "meter": vars(meter), "history": history, "best": best})

    saved = time.monotonic()
    with _stop_asked() as stop:
        for step in range(done, total):
            begun = time.monotonic()
            rate = rate_at(step / per_epoch, recipe)
            set_rate(optimizer, rate)
            step_loss = torch.zeros_like(meter.loss)
            for pass_number in range(layout.accumulation):
                waited = time.monotonic()
                batch = next(batches)
                meter.waiting += time.monotonic() - waited
                seed_step(task.seed, "step", step, pass_number, processes.rank)
                with (
                    torch.autocast(device.type, dtype=autocast, enabled=autocast is not None),
                    _syncing(wrapped, pass_number, layout.accumulation),
                ):
                    loss = task.loss(wrapped, batch, Step(step, pass_number, layout)) / layout.accumulation
                    scaler.scale(loss).backward()
                step_loss += loss.detach()
            if _update(optimizer, scaler, model, recipe.optimizer.clip_grad, recipe.non_finite, meter):
                meter.loss += step_loss
                meter.finite &= step_loss.isfinite()
                if task.after_step is not None:
                    task.after_step()
            else:
                meter.skipped += 1
            meter.steps += 1
            meter.seconds += time.monotonic() - begun

            end_of_epoch = (step + 1) % per_epoch == 0
            if progress.due and not end_of_epoch:
                _require_finite(meter, step + 1, task.title)
                shown = float(meter.loss) / max(1, meter.steps - meter.skipped)
                progress.show(step + 1, step // per_epoch + 1, shown, rate, *_speed(meter, recipe.batch_size))
            if end_of_epoch:
                metrics = _close_epoch(task, model, meter, processes, (step + 1) // per_epoch, rate)
                history = [*history, metrics]
                if _is_best(history, task.best):
                    best = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
                progress.say(_summary(metrics))
                meter = Meter.new(device)
            if end_of_epoch or stop.asked or time.monotonic() - saved > execution.state_every_seconds:
                save(step + 1)
                saved = time.monotonic()
            if end_of_epoch and processes.leads:
                after_epoch(history)
            if stop.asked and step + 1 < total:
                progress.say(f"was asked to stop; its state after step {step + 1} is in {store.folder}")
                raise Interrupted
    return Outcome(history, optimizer, total, best)


def _update(optimizer: torch.optim.Optimizer, scaler: Any, model: nn.Module, clip: float | None, policy: str, meter: Meter) -> bool:
    """One optimizer step on the accumulated gradients, clipped. False: it was skipped, since they were not finite."""
    scaler.unscale_(optimizer)
    taken = True
    if clip is not None or policy == "skip":
        norm = nn.utils.clip_grad_norm_(model.parameters(), float("inf") if clip is None else clip)
        if policy == "skip":
            # The norm is of gradients averaged over all processes, so all of them decide alike.
            taken = bool(norm.isfinite())
        elif not scaler.is_enabled():  # a gradient scaler skips steps that overflow by itself
            meter.finite &= norm.isfinite()
    if taken:
        scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad(set_to_none=True)
    return taken


def _close_epoch(task: Task, model: nn.Module, meter: Meter, processes: Processes, epoch: int, rate: float) -> Metrics:
    _require_finite(meter, epoch * meter.steps, task.title)
    loss = float(processes.sum(meter.loss.clone())) / processes.world / max(1, meter.steps - meter.skipped)
    speed, waiting = _speed(meter, task.recipe.batch_size)
    metrics = {"epoch": epoch, "loss": loss, "learning_rate": rate, "images_per_second": round(speed, 1), "data_wait": round(waiting, 4)}
    if meter.skipped:
        metrics["skipped_steps"] = meter.skipped
    if task.evaluate is not None and (epoch % task.evaluate_every == 0 or epoch == task.recipe.epochs):
        processes.share_buffers(model)
        model.eval()
        metrics |= task.evaluate(model)
        model.train()
    return metrics


def _is_best(history: list[Metrics], name: str | None) -> bool:
    """Whether the last epoch was measured and is better than all before it."""
    measured = [metrics[name] for metrics in history if name in metrics] if name is not None else []
    return bool(measured) and name in history[-1] and all(measured[-1] > earlier for earlier in measured[:-1])


def _speed(meter: Meter, batch_size: int) -> tuple[float, float]:
    """Images per second, and the share of the time spent waiting for data."""
    seconds = max(meter.seconds, 1e-9)
    return meter.steps * batch_size / seconds, meter.waiting / seconds


def _summary(metrics: Metrics) -> str:
    named = {k: v for k, v in metrics.items() if k not in ("epoch", "loss", "learning_rate", "images_per_second", "data_wait")}
    found = "".join(f"  {name} {value:.4g}" for name, value in named.items())
    return (
        f"epoch {metrics['epoch']:.0f} done  loss {metrics['loss']:.4f}  lr {metrics['learning_rate']:.2e}  "
        f"{metrics['images_per_second']:,.0f} images/s  data wait {metrics['data_wait']:.0%}{found}"
    )


def _require_finite(meter: Meter, step: int, title: str) -> None:
    if not bool(meter.finite):
        raise UserError(
            f"{title}: the loss or a gradient stopped being finite at or just before step {step}; the last good state is kept. "
            "Lower the learning rate, set precision to fp32, or set non_finite: skip in the recipe"
        )


def _syncing(model: nn.Module, pass_number: int, accumulation: int) -> Any:
    """Gradients are exchanged in the last pass of a step only."""
    quiet = hasattr(model, "no_sync") and pass_number < accumulation - 1
    return model.no_sync() if quiet else torch.enable_grad()  # type: ignore[operator]


def _batches(task: Task, order: TrainingOrder, workers: int, device: torch.device) -> Iterator[Any]:
    """Batches on the device, fetched ahead."""
    helpers = min(workers, len(os.sched_getaffinity(0)))
    loader = DataLoader(
        task.images,
        batch_sampler=order,
        num_workers=helpers,
        collate_fn=task.collate,
        pin_memory=device.type == "cuda",
        worker_init_fn=_outlive_the_wish_to_stop,
    )
    for batch in loader:
        yield _on_device(batch, device)


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
    for number in STOP:
        signal.signal(number, signal.SIG_IGN)


@dataclass
class _Stop:
    asked: bool = False


@contextmanager
def _stop_asked() -> Iterator[_Stop]:
    """Turn the signals of a time limit into a wish that the loop fulfils after its step."""
    stop = _Stop()

    def ask(signum: int, frame: Any) -> None:
        stop.asked = True

    before = {number: signal.signal(number, ask) for number in STOP}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
