"""Jobs that are at work or were cut short, as their state folders tell."""

import csv
import fcntl
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dbot.lineage.session import state_folder
from dbot.plan import METRICS, Job


@dataclass(frozen=True)
class Underway:
    """How far a job has come that has no receipt yet, or is being done again."""

    folder: Path
    running: bool
    """Whether a process holds the folder's lock. False: it goes on from here when it is started again."""
    host: str
    seen: str
    """When it last noted its time: UTC, ISO 8601, to the second."""
    epoch: int | None
    """Epochs done; None where the job has none, or none yet."""
    epochs: int | None
    loss: float | None


def underway(job: Job, inputs: Mapping[str, str]) -> Underway | None:
    """What a job's state folder says; None where it has none for the present parameters and the ids of these inputs' receipts."""
    folder = state_folder(job, inputs)
    try:
        stored = json.loads((folder / "execution.json").read_text())
        host = str(stored["attempts"][-1]["host"])
        seen = datetime.fromtimestamp((folder / "execution.json").stat().st_mtime, UTC).isoformat(timespec="seconds")
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None
    epoch, loss = _last_epoch(folder / METRICS)
    epochs = job.settings.get("recipe", {}).get("epochs")
    return Underway(folder, is_locked(folder), host, seen, epoch, epochs if METRICS in job.artifacts else None, loss)


def is_locked(folder: Path) -> bool:
    """Whether a process works in a state folder."""
    try:
        with (folder / "lock").open("r+") as handle:
            # Taken for an instant: a job that starts in that instant tries again (`Session`).
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _last_epoch(path: Path) -> tuple[int | None, float | None]:
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            *_, last = csv.DictReader(stream)
        return int(last["epoch"]), float(last["loss"]) if last.get("loss") else None
    except (OSError, ValueError, KeyError):
        return None, None
