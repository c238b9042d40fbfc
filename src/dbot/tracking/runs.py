"""What the MLflow run of an execution holds.

The live feed and `dbot sync` both describe a run by its content and ask the store to complete it,
so a run looks the same whichever way its values came. Of the artifacts only pictures are sent, to
be looked at: the tags name the receipt, and DVC keeps the files.
"""

import json
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
from dbot.plan import Job

PICTURES = (".jpg", ".png")
"""What artifacts that are pictures end with."""
LONGEST = 6000
"""Characters that MLflow keeps of a parameter's value; the receipt holds the whole."""

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
    points: list[Point] = field(default_factory=list)
    dataset: DatasetRead | None = None
    pictures: list[Path] = field(default_factory=list)
    """Galleries and the like that the job left."""
    ended: int | None = None
    """None: it is not finished."""


def begun(job: Job, execution: str) -> Content:
    """What is known when a job starts."""
    commit, _ = surroundings.git_commit()
    tags = {**_names(job, execution), "mlflow.source.git.commit": commit, "dbot.slurm_job": surroundings.slurm_job()}
    row = job.key.get("row")
    return Content(
        execution=execution,
        name=job.name,
        experiment=f"dbot/{job.scale}",
        parent=f"row:{row}" if row else "data",
        started=now(),
        params=_params(job.settings),
        tags={key: value for key, value in tags.items() if value is not None},
        dataset=_dataset(job, None),
    )


def finished(job: Job, receipt: Receipt, execution: Execution, history: History) -> Content:
    """What is known when an execution of a job has ended in its receipt."""
    tags = {
        **_names(job, execution.name),
        "dbot.receipt": receipt.id,
        "dbot.receipt_path": job.receipt.as_posix(),
        "dbot.host": execution.attempts[-1].host,
        "mlflow.source.git.commit": execution.commit,
        "dbot.changes": execution.changes,
        "dbot.slurm_job": execution.attempts[-1].slurm_job,
        **{f"dbot.result.{name}": value for name, value in receipt.results.items() if isinstance(value, str)},
    }
    last = max((int(row["epoch"] or 0) for row in history), default=0)
    speeds = [{**speed, "epoch": int(speed["epoch"])} for speed in execution.epochs]
    totals: dict[str, float] = {f"result/{name}": value for name, value in receipt.results.items() if not isinstance(value, str)}
    totals |= {"cost/seconds": execution.seconds, "cost/device_hours": execution.device_hours}
    return Content(
        execution=execution.name,
        name=job.name,
        experiment=f"dbot/{job.scale}",
        parent=f"row:{job.key['row']}" if "row" in job.key else "data",
        started=_milliseconds(execution.attempts[0].started),
        params=_params(receipt.settings),
        tags={key: value for key, value in tags.items() if value is not None},
        points=[*points(history), *points(speeds), *((name, float(value), last) for name, value in totals.items())],
        dataset=_dataset(job, receipt),
        pictures=[path for name in _left(job) if (path := job.folder / name).suffix in PICTURES and path.is_file()],
        ended=_milliseconds(execution.ended),
    )


def _left(job: Job) -> Iterator[str]:
    yield from job.artifacts
    yield from job.kind.pictures


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
        "dbot.scale": job.scale,
        **{f"dbot.{key}": value for key, value in job.key.items()},
        "mlflow.source.name": job.command,
    }


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
