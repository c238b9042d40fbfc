"""Executions: when, where, how long and by which commit a receipt came about.

Each lies in a file of its own, ``executions/<name>.json`` beside the receipt that it names. Two people who did the same
job have one receipt and two executions, which git puts together by itself.
"""

import json
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from dbot.base.digest import data_digest
from dbot.base.errors import UserError
from dbot.base.files import write_whole
from dbot.lineage.receipt import Part, unreadable

FORMAT: Literal["dbot execution 1"] = "dbot execution 1"
FOLDER = "executions"
"""Beside a receipt."""


class Attempt(Part):
    """One stretch of work on a job, from a start to an end or an interruption."""

    started: str
    """UTC, ISO 8601."""
    seconds: float
    host: str
    slurm_job: str | None
    hardware: dict[str, str | int] | None = None
    """Processor, cores, memory, driver."""
    cpu_seconds: float | None = None
    """Of the leading process and of those that it has waited for."""
    peak_mb: float | None = None
    """Largest resident memory of all its processes on the leading process's node, rather too much than too little."""


class Execution(Part):
    """How a receipt came about, once."""

    format: Literal["dbot execution 1"] = FORMAT
    seal: str
    """Digest of all that follows, by which any later change is found."""
    receipt: str
    """Id of the receipt that it ended in."""
    name: str
    """Of this execution: its file's, and the tag of its MLflow run."""
    ended: str
    """UTC, ISO 8601."""
    attempts: list[Attempt]
    device_hours: float
    """Wall hours times processes, over all attempts."""
    command: list[str]
    commit: str | None
    """Git commit of the working tree. None: no git."""
    changes: str | None
    """Digest of what differed from that commit when the last attempt began. None: nothing."""
    epochs: list[dict[str, float]]
    """Of a training, how fast each epoch went: ``epoch``, ``images_per_second``, ``data_wait``."""
    images_per_second: float | None = None
    """Of a measurement, how fast the network alone is on the device: forward passes, nothing read. None: it wasn't timed."""

    @property
    def seconds(self) -> float:
        """Wall seconds over all attempts."""
        return sum(attempt.seconds for attempt in self.attempts)


def make(**said: Any) -> Execution:
    """An execution that says this, with its seal computed."""
    execution = Execution(seal="", **said)
    return execution.model_copy(update={"seal": _digest(execution)})


def write(execution: Execution, receipt: Path) -> Path:
    """Write an execution beside the receipt that it names."""
    path = receipt.parent / FOLDER / f"{execution.name}.json"
    content = execution.model_dump(exclude={"format", "seal"})
    ordered = {"format": execution.format, "seal": execution.seal, **{name: content[name] for name in sorted(content)}}
    write_whole(path, (json.dumps(ordered, indent=1, ensure_ascii=False) + "\n").encode())
    return path


def drop_others(receipt: Path, identity: str) -> None:
    """Remove the executions of receipts that lay here before; git has them where they were committed."""
    for path in _files(receipt):
        if _names(path) != identity:
            path.unlink()


def read(path: Path) -> Execution:
    """Read an execution and check its seal.

    Raises:
        UserError: it is none, was changed after it was written, or has another's name.
    """
    try:
        return parsed(path.read_bytes(), path)
    except OSError as error:
        raise UserError(unreadable(path, "execution", FORMAT, error, None)) from None


def parsed(content: bytes, source: Path | str) -> Execution:
    """The execution that a file holds, once its seal is checked.

    Args:
        content: of the file.
        source: what messages call it; it ends in the file's name.

    Raises:
        UserError: it is none, was changed after it was written, or has another's name.
    """
    try:
        execution = Execution.model_validate_json(content)
        sound = execution.seal == _digest(execution) and PurePosixPath(source).stem == execution.name
    except ValueError as error:
        raise UserError(unreadable(source, "execution", FORMAT, error, content)) from None
    if not sound:
        raise UserError(f"{source}: was changed after it was written (its seal doesn't match); restore it or delete it")
    return execution


def executions_of(receipt: Path, identity: str) -> list[Execution]:
    """The executions beside a receipt that ended in it, the earliest first.

    Args:
        receipt: where it lies.
        identity: its id.

    Raises:
        UserError: one was changed, or none names the receipt.
    """
    found = [execution for path in _files(receipt) if (execution := read(path)).receipt == identity]
    if not found:
        raise UserError(f"{receipt}: no execution beside it ({receipt.parent / FOLDER}) names it; restore them, or run its job again")
    return sorted(found, key=lambda execution: (execution.ended, execution.name))


def execution_of(receipt: Path, identity: str) -> Execution:
    """The earliest of them: the one that a result is shown with."""
    return executions_of(receipt, identity)[0]


def _files(receipt: Path) -> list[Path]:
    return sorted((receipt.parent / FOLDER).glob("*.json"))


def _names(path: Path) -> str | None:
    """The receipt that an execution names; None where it is unreadable."""
    try:
        return read(path).receipt
    except UserError:
        return None


def _digest(execution: Execution) -> str:
    content = execution.model_dump(exclude={"format", "seal"})
    for attempt in content["attempts"]:
        for name in ("cpu_seconds", "peak_mb"):  # which executions from before 1.0 don't have
            if attempt[name] is None:
                del attempt[name]
    if content["images_per_second"] is None:
        del content["images_per_second"]
    return data_digest(content)
