"""The edge of trainings and measurements: processes, inputs, outputs, receipt and MLflow."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from dbot.base import garbage
from dbot.base.disk import patiently
from dbot.base.errors import UserError
from dbot.base.files import write_whole
from dbot.data.manifest import Manifest, read_manifest
from dbot.data.staging import stage
from dbot.distill.boundary import Promoted
from dbot.jobs.kind import MEASURED, Checkpoint
from dbot.lineage.history import without_speed, write_history
from dbot.lineage.incident import write as write_incident
from dbot.lineage.session import Session, place
from dbot.models import checkpoint
from dbot.models.checkpointing import checkpoint_blocks
from dbot.models.timm_form import design_of
from dbot.params.document import Params
from dbot.params.site import load_site
from dbot.params.teachers import Architecture
from dbot.plan import METRICS, Job, Plan
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


@dataclass
class TrainingJob:
    """A training or a measurement that is being done, as its kind sees it."""

    plan: Plan
    run: Session
    processes: Processes
    manifest: Manifest
    batch_per_process: int
    checkpointing: bool
    feed: Feed
    artifacts: list[str] = field(default_factory=list)
    history: list[Metrics] = field(default_factory=list)
    images_per_second: float | None = None
    """Of a network that was timed, on this device."""

    @property
    def params(self) -> Params:
        return self.plan.params

    @property
    def job(self) -> Job:
        return self.run.job

    @property
    def threads(self) -> int:
        return self.plan.resources(self.job).threads or 1

    def result(self, role: str, name: str) -> float | int | str:
        """What an input's receipt says that it found."""
        return self.run.inputs[role].results[name]

    def checkpoint(self, role: str, file: str | None = None) -> Checkpoint | None:
        """A checkpoint among an input's artifacts (default: what others start from); None where the job has no such input."""
        if role not in self.job.inputs:
            return None
        name = file or self.job.inputs[role].kind.start
        assert name is not None, f"no job starts from what {self.job.inputs[role].name} leaves"
        path = self.run.artifact(role, name)
        return Checkpoint(*checkpoint.load(path), str(path))

    def student(self, role: str) -> Promoted:
        """The student among the job's inputs, as it is taken for a teacher."""
        found = self.checkpoint(role)
        assert found is not None
        same_row = self.job.inputs[role].key.get("row") == self.job.key["row"]
        return Promoted(found.weights, Architecture.model_validate(found.about["architecture"]), design_of(found.about), same_row)

    def train(self, task: Task) -> Outcome:
        """Run the loop, with the history written beside the state and MLflow fed after every epoch."""
        execution = self.plan.params.execution
        if self.checkpointing:
            checkpoint_blocks(task.model)
        store = StateStore(self.run.state, execution.states_kept, execution.disk_patience_seconds)
        capture = partial(self._capture, task, store)
        outcome = train(
            task, store, self.processes, execution, self.batch_per_process, self._after_epoch, capture, meanwhile=self.feed.show
        )
        self.history = outcome.history
        return outcome

    def replay(self, task: Task, incident: Incident) -> Replayed:
        """Do a step again that was not finite."""
        if self.checkpointing:
            checkpoint_blocks(task.model)
        return replay(task, incident, self.processes.device, self.plan.params.execution)

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
        """Write what was measured among the job's artifacts; the leading process does."""
        self.artifacts.append(MEASURED)
        if self.processes.leads:
            content = (json.dumps(metrics, indent=1) + "\n").encode()
            self.run.check_still_ours()
            self._written(lambda: write_whole(self.run.job.folder / MEASURED, content))

    def finish(self, results: Mapping[str, float | int | str]) -> None:
        """Write history and receipt, and complete the MLflow run; the leading process does."""
        if not self.processes.leads:
            return
        measured, epochs = without_speed(self.history)
        if measured:
            self._written(lambda: write_history(self.run.job.folder / METRICS, measured))
            self.artifacts.append(METRICS)
        device, world = self.processes.device_name, self.processes.world
        receipt, execution = self._written(
            lambda: self.run.finish(self.artifacts, results, device, world, epochs, bool(measured), self.images_per_second)
        )
        if self.run.job.kind.kept:
            keep_at_once(self.run.job)
        self.feed.complete(receipt, execution, measured)


@contextmanager
def training(
    plan: Plan, job: Job, inputs: dict[str, Path], receipt: Path | None = None, replayed: Path | None = None
) -> Iterator[TrainingJob]:
    """Everything around a training or a measurement: its processes, and its checked inputs.

    Args:
        plan: of the job's scale.
        job: which.
        inputs: by role, the receipts to read.
        receipt: where its own is to go; None: its planned place.
        replayed: the state folder of the training that `dbot replay` looks at; then nothing is written.
    """
    resources = plan.resources(job)
    per_node = max(1, resources.gpus or 1)
    threads = (resources.threads or 1) // per_node
    with (
        processes(plan.params.execution.device, threads, plan.params.execution.workers) as group,
        Session(job, inputs, group.leads and replayed is None, receipt, group.workers) as run,
    ):
        group.barrier()
        if replayed is not None and not replayed.samefile(run.state):
            raise UserError(f"{replayed}: is of other parameters or inputs than {job.name} now has (those have {run.state}); restore them")
        feeds = plan.params.execution.mlflow and run.leads and METRICS in job.artifacts
        feed = Feed(job, run.name, enabled=feeds, after=FED_AFTER_SECONDS)
        manifest = read_manifest(inputs["data"].parent)
        if (scratch := load_site().scratch) is not None:
            manifest = stage(manifest, scratch)
            group.barrier()  # another node's copy may take hours, which a GPU would not wait for
        batch, checkpointing = resources.batch, bool(resources.checkpointing)
        garbage.as_usual()
        yield TrainingJob(plan, run, group, manifest, batch, checkpointing, feed)
        group.barrier()
