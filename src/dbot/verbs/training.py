"""The edge that the training and measuring verbs share: processes, inputs, outputs, receipt and MLflow."""

import argparse
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from dbot.data.manifest import Manifest, read_manifest
from dbot.data.staging import stage
from dbot.models import checkpoint
from dbot.models.checkpointing import checkpoint_blocks
from dbot.params.load import load
from dbot.params.site import load_site
from dbot.plan import METRICS, STUDENT, Plan
from dbot.record.digest import write_whole
from dbot.record.execution import Execution, place
from dbot.record.history import write_history
from dbot.record.mlflow import Feed
from dbot.train.distributed import Processes, processes
from dbot.train.loop import Outcome, train
from dbot.train.state import StateStore
from dbot.train.task import Metrics, Task


@dataclass
class TrainingJob:
    """A job that trains or measures, as its verb sees it."""

    plan: Plan
    run: Execution
    processes: Processes
    manifest: Manifest
    batch_per_process: int
    checkpointing: bool
    feed: Feed
    artifacts: list[str] = field(default_factory=list)
    history: list[Metrics] = field(default_factory=list)

    def train(self, task: Task) -> Outcome:
        """Run the loop, with the history written beside the state and MLflow fed after every epoch."""
        execution = self.plan.params.execution
        if self.checkpointing:
            checkpoint_blocks(task.model)
        store = StateStore(self.run.state, execution.states_kept)
        outcome = train(task, store, self.processes, execution, self.batch_per_process, self._after_epoch)
        self.history = outcome.history
        return outcome

    def _after_epoch(self, history: list[Metrics]) -> None:
        self.run.tick()
        write_history(self.run.state / METRICS, history)
        self.feed.log(history)

    def save(self, name: str, weights: dict[str, Tensor], about: dict[str, Any]) -> None:
        """Write a checkpoint among the job's artifacts; the leading process does."""
        self.artifacts.append(name)
        if self.processes.leads:
            part = self.run.state / name
            checkpoint.save(part, weights, about)
            place(part, self.run.job.folder / name)

    def save_metrics(self, metrics: Metrics) -> None:
        """Write what was measured as ``metrics.json`` among the job's artifacts; the leading process does."""
        self.artifacts.append("metrics.json")
        if self.processes.leads:
            write_whole(self.run.job.folder / "metrics.json", (json.dumps(metrics, indent=1) + "\n").encode())

    def finish(self, results: Mapping[str, float | int | str]) -> None:
        """Write history and receipt, and complete the MLflow run; the leading process does."""
        if not self.processes.leads:
            return
        logs = []
        if self.history:
            write_history(self.run.job.folder / METRICS, self.history)
            logs.append(METRICS)
        trained = bool(self.history)
        receipt = self.run.finish(self.artifacts, results, logs, self.processes.device_name, self.processes.world, keep_state=trained)
        self.feed.complete(receipt, self.history)


def student_of(job: TrainingJob) -> tuple[dict[str, Tensor] | None, str]:
    """Weights of the student that a job starts from, and what messages call them; None and nothing where it starts from random ones."""
    start = job.run.inputs.get("start")
    if start is None:
        return teacher_of(job)
    path = job.run.artifact("start", STUDENT[start.identity.verb])
    return checkpoint.load(path)[0], str(path)


def teacher_of(job: TrainingJob) -> tuple[dict[str, Tensor] | None, str]:
    """Weights of the teacher that a row fine-tunes, named as a student's, and what messages call them; None and nothing without one."""
    name = job.plan.params.rows[job.run.job.key["row"]].from_teacher
    if name is None:
        return None, ""
    from dbot.models.teachers.networks import timm_teacher

    teacher = timm_teacher(job.plan.params.teachers[name], final_norm=True)
    weights = teacher.network.state_dict()
    return {f"encoder.{key}": tensor for key, tensor in weights.items() if not key.startswith(("head", "fc_norm"))}, f"teacher {name}"


@contextmanager
def training(args: argparse.Namespace, verb: str, **key: str) -> Iterator[TrainingJob]:
    """Everything around a training verb: the plan's job, its processes, and its checked inputs."""
    plan = Plan(load(args.params, args.scale))
    job = plan.job(verb, **key)
    inputs = {role: getattr(args, role, None) or needed.receipt for role, needed in job.inputs.items()}
    resources = plan.resources(job)
    per_node = max(1, resources.gpus or 1)
    with processes(plan.params.execution.device, (resources.threads or 1) // per_node) as group, Execution(job, inputs, group.leads) as run:
        group.barrier()
        # A job of seconds is left to `dbot sync`: loading MLflow would take as long as its work.
        feed = Feed(job, run.name, enabled=plan.params.execution.mlflow and group.leads and METRICS in job.artifacts)
        manifest = read_manifest(inputs["data"].parent)
        if (scratch := load_site().scratch) is not None:
            manifest = stage(manifest, scratch)
        yield TrainingJob(plan, run, group, manifest, resources.batch_per_process or 1, bool(resources.checkpointing), feed)
        group.barrier()
