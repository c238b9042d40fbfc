"""The edge that the training and measuring verbs share: processes, inputs, outputs, receipt and MLflow."""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from torch import Tensor

from dbot.base import garbage
from dbot.base.disk import patiently
from dbot.base.errors import UserError
from dbot.base.files import write_whole
from dbot.data.manifest import Manifest, read_manifest
from dbot.data.staging import stage
from dbot.lineage.history import without_speed, write_history
from dbot.lineage.incident import write as write_incident
from dbot.lineage.session import Session, place
from dbot.models import checkpoint
from dbot.models.checkpointing import checkpoint_blocks
from dbot.params.load import load
from dbot.params.site import load_site
from dbot.params.teachers import TimmTeacher
from dbot.plan import KEPT, METRICS, STUDENT, Plan
from dbot.tracking.mlflow import Feed
from dbot.train.distributed import Processes, processes
from dbot.train.incident import Incident
from dbot.train.loop import Outcome, train
from dbot.train.replay import Replayed, replay
from dbot.train.state import StateStore
from dbot.train.task import Metrics, Task
from dbot.versioning.keep import keep_at_once

T = TypeVar("T")
FED_AFTER_SECONDS = 20.0
"""A shorter job is left to `dbot sync`: loading MLflow would take as long as a good part of its work."""


class Looked(Exception):
    """A replay has come to its end, in the middle of the verb that it replays."""

    def __init__(self, replayed: Replayed) -> None:
        self.replayed = replayed


@dataclass
class TrainingJob:
    """A job that trains or measures, as its verb sees it."""

    plan: Plan
    run: Session
    processes: Processes
    manifest: Manifest
    batch_per_process: int
    checkpointing: bool
    feed: Feed
    replayed: Incident | None = None
    """The incident that is looked at, instead of training."""
    artifacts: list[str] = field(default_factory=list)
    history: list[Metrics] = field(default_factory=list)

    def train(self, task: Task) -> Outcome:
        """Run the loop, with the history written beside the state and MLflow fed after every epoch.

        Raises:
            Looked: this is a replay, which ends here.
        """
        execution = self.plan.params.execution
        if self.checkpointing:
            checkpoint_blocks(task.model)
        if self.replayed is not None:
            raise Looked(replay(task, self.replayed, self.processes.device, execution))
        store = StateStore(self.run.state, execution.states_kept, execution.disk_patience_seconds)
        capture = partial(self._capture, task, store)
        outcome = train(
            task, store, self.processes, execution, self.batch_per_process, self._after_epoch, capture, meanwhile=self.feed.show
        )
        self.history = outcome.history
        return outcome

    def _after_epoch(self, history: list[Metrics]) -> None:
        self._written(self.run.tick)
        self._written(lambda: write_history(self.run.state / METRICS, history))
        self.feed.log(history)

    def _capture(self, task: Task, store: StateStore, incident: Incident) -> str:
        """Keep what a step that is not finite came from, as far as the disk lets it."""
        names = getattr(task.images, "paths", None)
        paths = {} if names is None else {str(number): str(names[number]) for _, number in incident.images}
        try:
            state = None if incident.state is None else store.pin(incident.state)
            path = write_incident(self.run.state, self.run.job, replace(incident, state=state), paths)
        except OSError as error:
            return f"it could not be kept for `dbot replay` ({error.strerror})"
        return "" if path is None else f"`dbot replay {path}` does the step again and says what is not finite"

    def _written(self, write: Callable[[], T]) -> T:
        """Write what took long to compute: a disk that is full or gone is waited for."""
        return patiently(write, self.plan.params.execution.disk_patience_seconds)

    def save(self, name: str, weights: dict[str, Tensor], about: dict[str, Any]) -> None:
        """Write a checkpoint among the job's artifacts; the leading process does."""
        self.artifacts.append(name)
        if self.processes.leads:
            part = self.run.state / name
            self._written(lambda: checkpoint.save(part, weights, about))
            self.run.check_still_ours()
            self._written(lambda: place(part, self.run.job.folder / name))

    def save_metrics(self, metrics: Metrics) -> None:
        """Write what was measured as ``metrics.json`` among the job's artifacts; the leading process does."""
        self.artifacts.append("metrics.json")
        if self.processes.leads:
            content = (json.dumps(metrics, indent=1) + "\n").encode()
            self.run.check_still_ours()
            self._written(lambda: write_whole(self.run.job.folder / "metrics.json", content))

    def finish(self, results: Mapping[str, float | int | str]) -> None:
        """Write history and receipt, and complete the MLflow run; the leading process does."""
        if not self.processes.leads:
            return
        measured, epochs = without_speed(self.history)
        if measured:
            self._written(lambda: write_history(self.run.job.folder / METRICS, measured))
            self.artifacts.append(METRICS)
        device, world = self.processes.device_name, self.processes.world
        receipt, execution = self._written(lambda: self.run.finish(self.artifacts, results, device, world, epochs, bool(measured)))
        if self.run.job.verb in KEPT:
            keep_at_once(self.run.job)
        self.feed.complete(receipt, execution, measured)


def student_of(job: TrainingJob) -> tuple[dict[str, Tensor] | None, str]:
    """Weights of the student that a job starts from, and what messages call them; None and nothing where it starts from random ones."""
    start = job.run.inputs.get("start")
    if start is None:
        return teacher_of(job)
    path = job.run.artifact("start", STUDENT[start.verb])
    return checkpoint.load(path)[0], str(path)


def teacher_of(job: TrainingJob) -> tuple[dict[str, Tensor] | None, str]:
    """Weights of the teacher that a row fine-tunes, named as a student's, and what messages call them; None and nothing without one."""
    name = job.plan.params.rows[job.run.job.key["row"]].from_teacher
    if name is None:
        return None, ""
    from dbot.models.teachers.networks import timm_teacher

    declared = job.plan.params.teachers[name]
    assert isinstance(declared, TimmTeacher), f"teacher {name} can't be fine-tuned"
    teacher = timm_teacher(declared, final_norm=True)
    weights = teacher.network.state_dict()
    return {f"encoder.{key}": tensor for key, tensor in weights.items() if not key.startswith(("head", "fc_norm"))}, f"teacher {name}"


@contextmanager
def training(args: argparse.Namespace, verb: str, **key: str) -> Iterator[TrainingJob]:
    """Everything around a training verb: the plan's job, its processes, and its checked inputs.

    `dbot replay` sets ``args.replay``, to the folder and the content of an incident: then nothing is written.
    """
    folder, incident = getattr(args, "replay", (None, None))
    plan = Plan(load(args.params, args.scale))
    job = plan.job(verb, **key)
    inputs = {role: getattr(args, role, None) or needed.receipt for role, needed in job.inputs.items()}
    resources = plan.resources(job)
    per_node = max(1, resources.gpus or 1)
    threads = (resources.threads or 1) // per_node
    with (
        processes(plan.params.execution.device, threads) as group,
        Session(job, inputs, group.leads and incident is None, getattr(args, "receipt", None)) as run,
    ):
        group.barrier()
        if folder is not None and not folder.samefile(run.state):
            raise UserError(f"{folder}: is of other parameters or inputs than {job.name} now has (those have {run.state}); restore them")
        feeds = plan.params.execution.mlflow and run.leads and METRICS in job.artifacts
        feed = Feed(job, run.name, enabled=feeds, after=FED_AFTER_SECONDS)
        manifest = read_manifest(inputs["data"].parent)
        if (scratch := load_site().scratch) is not None:
            manifest = stage(manifest, scratch)
        batch, checkpointing = resources.batch_per_process or 1, bool(resources.checkpointing)
        garbage.as_usual()
        yield TrainingJob(plan, run, group, manifest, batch, checkpointing, feed, incident)
        group.barrier()
