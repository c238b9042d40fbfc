"""The one training loop: pre-training, fine-tuning and every later task run through it."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dbot.base.errors import UserError
from dbot.base.seeds import seed_step
from dbot.params.scales import ExecutionSettings
from dbot.train.batches import TrainingOrder, lay_out, steps_per_epoch
from dbot.train.determinism import determinism
from dbot.train.distributed import Processes
from dbot.train.incident import Incident, NonFinite
from dbot.train.loading import batches_of
from dbot.train.optimizer import build_optimizer, restore_moments
from dbot.train.precision import autocast_type
from dbot.train.progress import Progress
from dbot.train.saving import Saver
from dbot.train.schedule import rate_at, set_rate
from dbot.train.state import StateStore
from dbot.train.stopping import Interrupted, Stop
from dbot.train.task import Metrics, Step, Task

NEVER = torch.iinfo(torch.int64).max
"""Stands for the step that is not there."""
REWINDS = 10
"""Steps that a training passes over by going back, at most, before it gives up."""


@dataclass
class Outcome:
    """What a training leaves: its history, the optimizer and, on the leading process, the weights that were best, if any were kept."""

    history: list[Metrics]
    optimizer: torch.optim.Optimizer
    steps: int
    best: dict[str, Tensor] | None


@dataclass
class Meter:
    """Sums over the steps of an epoch; those on the device are fetched only when somebody looks."""

    loss: Tensor
    """Sum of the losses, float64."""
    bad: Tensor
    """The first step whose loss or gradient norm was not finite; `NEVER` as long as there is none."""
    steps: int = 0
    seconds: float = 0.0
    waiting: float = 0.0
    skipped: int = 0

    @classmethod
    def new(cls, device: torch.device) -> "Meter":
        return cls(torch.zeros((), dtype=torch.float64, device=device), torch.tensor(NEVER, device=device))

    @classmethod
    def restored(cls, state: dict[str, Any], processes: Processes) -> "Meter":
        """What `state` gave: of as many processes each its own, to the last bit, else of each the mean."""
        losses = state["loss"]
        own = losses[processes.rank] if len(losses) == processes.world else losses.mean()
        return cls(**{**state, "loss": own.clone().to(processes.device), "bad": state["bad"].to(processes.device)})

    def state(self, processes: Processes) -> dict[str, Any]:
        """As this process has it, but the losses of all of them, by rank; to be asked by every process."""
        return {**vars(self), "loss": processes.gather(self.loss)}

    def note(self, finite: Tensor, step: int) -> None:
        """Whether what a step computed was finite: a bool on the device."""
        self.bad = torch.where(finite, self.bad, self.bad.clamp(max=step))


def train(
    task: Task,
    store: StateStore,
    processes: Processes,
    execution: ExecutionSettings,
    batch_per_process: int,
    after_epoch: Callable[[list[Metrics]], None],
    on_incident: Callable[[Incident], str] = lambda incident: "",
    passed_over: Iterable[int] = (),
    meanwhile: Callable[[], None] = lambda: None,
) -> Outcome:
    """Train a task to its end, from its newest state if there is one.

    A job that is killed at any moment and started again, on the same number of processes, ends
    with the same bits as one that never was; on GPUs where the recipe says `deterministic`, else up to
    the order of sums. Its state is written every so often
    (``execution.state_every_seconds``), while the training goes on; also where it leaves off and at the
    end, and before the first step where steps may be taken back. Steps after the newest state are taken again.

    Args:
        task: what is trained.
        store: where its state lies.
        processes: this process among all.
        execution: how jobs run; nothing in it changes the result.
        batch_per_process: most images in one forward pass.
        after_epoch: called on the leading process with the history so far.
        on_incident: called on the leading process for a step that is not finite; returns what a person can do to see why.
        passed_over: steps whose batch is drawn but not trained on, besides those that the state names.
        meanwhile: called on the leading process with every progress line.

    Raises:
        UserError: the batch doesn't fit the data or the processes, or the loss is not finite.
    """
    left_out = set(passed_over)
    # One for all goes: a wish that is heard while the training goes back is no less one.
    with Stop(processes, execution.stop_before_limit_seconds) as stop, determinism(task.recipe.deterministic, processes.device):
        while True:
            try:
                return _train(task, store, processes, execution, batch_per_process, after_epoch, on_incident, left_out, meanwhile, stop)
            except NonFinite as found:
                hint = on_incident(found.incident) if processes.leads else ""
                if task.recipe.non_finite != "rewind" or len(left_out) >= REWINDS:
                    if not processes.leads:
                        processes.barrier()  # which never comes: the leading process says why, with the hint, and ends all
                    raise NonFinite("; ".join(filter(None, (str(found), hint))), found.incident) from None
                left_out.add(found.incident.step)
                if processes.leads:
                    print(f"{found}; going back, to pass over its batch{f'; {hint}' if hint else ''}", flush=True)
            processes.barrier()  # what the leading process was still writing is on the disk when the others look there


def _train(
    task: Task,
    store: StateStore,
    processes: Processes,
    execution: ExecutionSettings,
    batch_per_process: int,
    after_epoch: Callable[[list[Metrics]], None],
    on_incident: Callable[[Incident], str],
    passed_over: set[int],
    meanwhile: Callable[[], None],
    stop: Stop,
) -> Outcome:
    """Train until the end, or until something is not finite. Adds to ``passed_over`` what the state names."""
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
    is_new = (restored := _restore(task, store, processes, optimizer, scaler, passed_over)) is None
    if restored is not None:
        done, meter, history, best = restored
        del restored
    processes.barrier()  # what came before takes some longer than others, for which a GPU's first exchange would not wait
    processes.check_same(model)

    wrapped = processes.wrap(model)
    if recipe.compile and device.type == "cuda":
        for part in task.compiled(wrapped):
            part.compile()
    progress = Progress(task.title, recipe.epochs, total, done, execution.progress_every_seconds, processes.leads)
    if done:
        progress.say(f"goes on after step {done} of {total}")
    batches = batches_of(task, TrainingOrder(images, layout, task.seed, done, total), execution.workers, device)

    def incident(step: int) -> Incident:
        saver.wait()
        (samples,) = TrainingOrder(images, lay_out(recipe.batch_size, recipe.batch_size, 1, 0), task.seed, step, step + 1)
        state = store.before(step)
        return Incident(step, step // per_epoch + 1, samples, state, layout.world, layout.micro, sorted(passed_over))

    def is_finite(together: bool = False) -> bool:
        """Whether all was finite in this epoch so far, as far as one process knows, or all of them together."""
        bad = int(meter.bad)
        if together:
            bad = -processes.largest(-bad)()
        elif processes.world > 1 and (recipe.non_finite == "rewind" or not processes.leads):
            return bad == NEVER  # all go back, or end, together, when they meet for a state or at the end of the epoch
        if bad != NEVER:
            raise NonFinite(_not_finite(task.title, bad, total, recipe.non_finite), incident(bad))
        return True

    def save(step: int, at_rest: bool) -> None:
        """Keep the state of after so many steps; every process has to come here. At rest, it is on the disk afterwards."""
        is_finite(together=True)
        counted = meter.state(processes)
        if not processes.leads:
            return
        changing = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "scaler": scaler.state_dict(), "meter": counted}
        if task.companion is not None:
            changing["companion"] = task.companion.state_dict()
        fixed = {"history": history, "best": best, "passed_over": sorted(passed_over)}
        if at_rest:
            saver.write(step, {**changing, **fixed})
        else:
            saver.begin(step, changing, fixed)

    with Saver(store, execution.state_every_seconds) as saver:
        if is_new and recipe.non_finite == "rewind":
            save(0, at_rest=True)
        for step in range(done, total):
            begun = time.monotonic()
            rate = rate_at(step / per_epoch, recipe)
            set_rate(optimizer, rate)
            step_loss = torch.zeros_like(meter.loss)
            for pass_number in range(layout.accumulation):
                waited = time.monotonic()
                batch = next(batches)
                meter.waiting += time.monotonic() - waited
                if step in passed_over:
                    continue
                seed_step(task.seed, "step", step, pass_number, processes.rank)
                with (
                    torch.autocast(device.type, dtype=autocast, enabled=autocast is not None),
                    _syncing(wrapped, pass_number, layout.accumulation),
                ):
                    loss = task.loss(wrapped, batch, Step(step, pass_number, layout)) / layout.accumulation
                    scaler.scale(loss).backward()
                step_loss += loss.detach()
            if step in passed_over:
                meter.skipped += 1
            elif _update(optimizer, scaler, model, recipe.optimizer.clip_grad, recipe.non_finite, meter, step):
                meter.loss += step_loss
                meter.note(step_loss.isfinite(), step)
                if task.after_step is not None:
                    task.after_step()
            else:
                meter.skipped += 1
                if processes.leads and (hint := on_incident(incident(step))):
                    progress.say(f"step {step + 1} is not finite and was skipped; {hint}")
            meter.steps += 1
            meter.seconds += time.monotonic() - begun

            end_of_epoch = (step + 1) % per_epoch == 0
            if progress.due and not end_of_epoch and is_finite():
                shown = float(meter.loss) / max(1, meter.steps - meter.skipped)
                progress.show(step + 1, step // per_epoch + 1, shown, rate, *_speed(meter, recipe.batch_size))
                meanwhile()
            if end_of_epoch:
                is_finite(together=True)
                metrics = _close_epoch(task, model, meter, processes, (step + 1) // per_epoch, rate)
                history = [*history, metrics]
                if _is_best(history, task.best) and processes.leads:
                    best = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
                progress.say(_summary(metrics))
                meter = Meter.new(device)
            wish, ends = stop.wish(processes.leads and saver.is_due()), step + 1 == total
            if wish or ends:
                save(step + 1, at_rest=wish.leaves_off or ends)
            if end_of_epoch:
                if processes.leads:
                    after_epoch(history)
                processes.barrier()  # rank 0 may measure and write for long, and a GPU in the next step waits for less
            if wish.leaves_off and not ends:
                progress.say(f"leaves off, as it was asked to; its state after step {step + 1} is in {store.folder}")
                raise Interrupted(wish)
    return Outcome(history, optimizer, total, best)


def _restore(
    task: Task, store: StateStore, processes: Processes, optimizer: torch.optim.Optimizer, scaler: Any, passed_over: set[int]
) -> tuple[int, Meter, list[Metrics], dict[str, Tensor] | None] | None:
    """Give all that is trained its newest state; steps taken by then, meter, history and best weights. None: there is no state.

    Networks and optimizer have their values on their device; of what was read live on only the history and, on the leading
    process, the best weights, in main memory.
    """
    if (stored := store.load()) is None:
        return None
    done, state = stored
    task.model.load_state_dict(state["model"])
    if task.companion is not None:
        task.companion.load_state_dict(state["companion"])
    optimizer.load_state_dict(state["optimizer"])
    scaler.load_state_dict(state["scaler"])
    passed_over.update(state["passed_over"])
    return done, Meter.restored(state["meter"], processes), state["history"], state["best"] if processes.leads else None


def _update(
    optimizer: torch.optim.Optimizer, scaler: Any, model: nn.Module, clip: float | None, policy: str, meter: Meter, step: int
) -> bool:
    """One optimizer step on the accumulated gradients, clipped. False: it was skipped, since they were not finite."""
    scaler.unscale_(optimizer)
    taken = True
    if clip is not None or policy != "stop":
        norm = nn.utils.clip_grad_norm_(model.parameters(), float("inf") if clip is None else clip)
        if policy == "skip":
            # The norm is of gradients averaged over all processes, so all of them decide alike.
            taken = bool(norm.isfinite())
        elif not scaler.is_enabled():  # a gradient scaler skips steps that overflow by itself
            meter.note(norm.isfinite(), step)
    if taken:
        scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad(set_to_none=True)
    return taken


def _close_epoch(task: Task, model: nn.Module, meter: Meter, processes: Processes, epoch: int, rate: float) -> Metrics:
    if meter.skipped == meter.steps:
        raise UserError(f"{task.title}: no step of epoch {epoch} was finite, so nothing was learnt in it; lower the learning rate")
    loss = float(processes.sum(meter.loss.clone())) / processes.world / (meter.steps - meter.skipped)
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


def _not_finite(title: str, step: int, total: int, policy: str) -> str:
    said = f"{title}: the loss or a gradient stopped being finite in step {step + 1} of {total}; the last good state is kept"
    other = "" if policy == "rewind" else ", or set non_finite: rewind in the recipe"
    return f"{said}. Lower the learning rate, set precision to fp32{other}"


def _syncing(model: nn.Module, pass_number: int, accumulation: int) -> Any:
    """Gradients are exchanged in the last pass of a step only."""
    quiet = hasattr(model, "no_sync") and pass_number < accumulation - 1
    return model.no_sync() if quiet else torch.enable_grad()  # type: ignore[operator]
