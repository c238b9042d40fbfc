"""What the MLflow run of an execution holds.

The live feed and `dbot sync` both describe a run by its content and ask the store to complete it,
so a run looks the same whichever way its values came. Of the files only pictures and the receipt are
sent, to be looked at: DVC keeps the others. What a field of MLflow says already is not said again.
"""

import json
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from dbot.base.errors import UserError
from dbot.jobs.prepare import PREPARE
from dbot.lineage import receipt as receipts
from dbot.lineage import surroundings
from dbot.lineage.executions import Execution
from dbot.lineage.history import History
from dbot.lineage.receipt import Receipt, flattened
from dbot.plan import RECEIPT, Job

PICTURES = (".jpg", ".png")
"""What artifacts that are pictures end with."""
LONGEST = 6000
"""Characters that MLflow keeps of a parameter's value; the receipt holds the whole."""
NOTE = "mlflow.note.content"
"""The tag that MLflow shows as the description, in Markdown."""
SIGNED = "*Written by `dbot`; edit it, and it stays as you leave it.*"
"""How our descriptions end. One that ends otherwise is a person's."""
HERE = "{run}"
"""In a description, the address of the run that has it, which is known only to the store."""
SHOWN = 12
"""Digits of a receipt's id that a description shows."""

Point = tuple[str, float, int]
"""Name, value and epoch of a metric."""


@dataclass(frozen=True)
class DatasetRead:
    """The data set that a job read."""

    name: str
    digest: str
    receipt: str
    counts: dict[str, float | int]


@dataclass(frozen=True)
class Content:
    """What a run holds."""

    execution: str
    name: str
    experiment: str
    parent: str
    """The run that it hangs under: ``row:B-B``, or ``data`` for jobs without a row."""
    started: int
    """Milliseconds since the epoch, as all of MLflow's times."""
    params: dict[str, str]
    tags: dict[str, str]
    note: str
    """Its description."""
    points: list[Point] = field(default_factory=list)
    dataset: DatasetRead | None = None
    files: list[Path] = field(default_factory=list)
    """The receipt, and galleries and the like that the job left."""
    ended: int | None = None
    """None: it is not finished."""


def begun(job: Job, execution: str) -> Content:
    """What is known when a job starts."""
    commit, _ = surroundings.git_commit()
    tags = {**_names(job, execution), "mlflow.source.git.commit": commit, "dbot.slurm_job": surroundings.slurm_job()}
    return Content(
        execution=execution,
        name=named(job),
        experiment=experiment(job.scale),
        parent=_parent(job),
        started=now(),
        params=_params(job.settings),
        tags={key: value for key, value in tags.items() if value is not None},
        note=signed(_lineage(job)),
        dataset=_dataset(job, None),
    )


def finished(job: Job, receipt: Receipt, execution: Execution, history: History) -> Content:
    """What is known when an execution of a job has ended in its receipt."""
    tags = {
        **_names(job, execution.name),
        "dbot.receipt": receipt.id,
        "dbot.host": execution.attempts[-1].host,
        "mlflow.source.git.commit": execution.commit,
        "dbot.changes": execution.changes,
        "dbot.slurm_job": execution.attempts[-1].slurm_job,
        **{f"dbot.result.{name}": value for name, value in receipt.results.items() if isinstance(value, str)},
    }
    last = max((int(row["epoch"] or 0) for row in history), default=0)
    speeds = [{**speed, "epoch": int(speed["epoch"])} for speed in execution.epochs]
    totals = {**{f"result/{name}": value for name, value in _findings(receipt, history)}, "cost/device_hours": execution.device_hours}
    return Content(
        execution=execution.name,
        name=named(job),
        experiment=experiment(job.scale),
        parent=_parent(job),
        started=_milliseconds(execution.attempts[0].started),
        params=_params(receipt.settings),
        tags={key: value for key, value in tags.items() if value is not None},
        note=signed(_lineage(job), _receipt(job, receipt)),
        points=[*points(history), *points(speeds), *((name, float(value), last) for name, value in totals.items())],
        dataset=_dataset(job, receipt),
        files=[job.receipt, *(path for name in _left(job) if (path := job.folder / name).suffix in PICTURES and path.is_file())],
        ended=_milliseconds(execution.ended),
    )


def named(job: Job) -> str:
    """``B-B distill stage1``: the row first, as in the table."""
    verb, *values = job.name.split("/")
    row = job.key.get("row")
    return " ".join((verb, *values) if row is None else (row, verb, *(value for value in values if value != row)))


def experiment(scale: str) -> str:
    """The experiment that holds the runs of a scale."""
    return f"dbot/{scale}"


def signed(*parts: str) -> str:
    """A description of ours."""
    return "\n\n".join((*parts, SIGNED))


def _lineage(job: Job) -> str:
    """The line that leads from a job back to its data."""
    behind = sorted(job.ancestors(), key=lambda each: each.kind.is_data)
    return " ← ".join(each.name for each in (job, *behind))


def _receipt(job: Job, receipt: Receipt) -> str:
    return f"[Receipt {receipt.id[:SHOWN]}]({HERE}/artifacts/{RECEIPT}), `dbot lineage {job.receipt.as_posix()}`"


def _parent(job: Job) -> str:
    return f"row:{job.key['row']}" if "row" in job.key else "data"


def _left(job: Job) -> Iterator[str]:
    yield from job.artifacts
    yield from job.kind.pictures


def _findings(receipt: Receipt, history: History) -> Iterator[tuple[str, float]]:
    """The numbers on a receipt, but those that a parameter or the last epoch shows under the same name."""
    said: set[tuple[str, object]] = {
        (key.rpartition(".")[2], value) for key, value in flattened(receipt.settings).items() if isinstance(value, int | float)
    }
    said.update(history[-1].items() if history else ())
    yield from ((name, value) for name, value in receipt.results.items() if not isinstance(value, str) and (name, value) not in said)


def points(history: History) -> list[Point]:
    """The values of a history that were measured."""
    return [
        (name, float(value), int(row["epoch"] or 0))
        for row in history
        for name, value in row.items()
        if name != "epoch" and value is not None
    ]


def now() -> int:
    return int(time.time() * 1000)


def _names(job: Job, execution: str) -> dict[str, str | None]:
    """The tags that say which job's execution a run is of."""
    return {
        "dbot.execution": execution,
        "dbot.rule": job.verb,
        **{f"dbot.{key}": value for key, value in job.key.items()},
        "mlflow.source.name": _command(job),
    }


def _command(job: Job) -> str:
    """The command line that does the job, with inputs and receipt as planned; of one with a path, MLflow shows the end of that."""
    return shlex.join(("dbot", job.verb, "--scale", job.scale, *(part for key, value in job.key.items() for part in (f"--{key}", value))))


def _params(settings: Any) -> dict[str, str]:
    # Keys in order: the same value comes from params.yaml as it is written there, and sorted from a receipt.
    texts = {key: value if isinstance(value, str) else json.dumps(value, sort_keys=True) for key, value in flattened(settings).items()}
    return {key: text[:LONGEST] for key, text in texts.items()}


def _milliseconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1000)


def _dataset(job: Job, receipt: Receipt | None) -> DatasetRead | None:
    """The data set among a job's inputs; None too where the receipt read is no longer the one that lies there."""
    for role, needed in job.inputs.items():
        if needed.kind is not PREPARE:
            continue
        try:
            found = receipts.read(needed.receipt)
        except UserError:
            return None
        if receipt is not None and receipt.inputs[role].id != found.id:
            return None
        results = found.results
        return DatasetRead(
            name=needed.key["dataset"],
            digest=str(results["digest"]),
            receipt=found.id,
            counts={name: value for name, value in results.items() if not isinstance(value, str)},
        )
    return None
