"""Receipts: what went into a job and what came out, by digest.

A receipt has two halves. Its *identity* holds what decides the result and the result itself:
parameters, inputs, outputs, code, environment. The same identity, computed again, has the same
id. Its *circumstances* say when, where and how long. A seal over both finds any later change.
"""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from dbot.base.digest import data_digest, file_digest
from dbot.base.errors import UserError
from dbot.base.files import write_whole

FORMAT: Literal["dbot receipt 1"] = "dbot receipt 1"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Artifact(_Part):
    """A file that a job wrote beside its receipt."""

    sha256: str
    bytes: int


class Input(_Part):
    """A receipt that a job read."""

    path: str
    """Relative to the project."""
    id: str


class Identity(_Part):
    """What decides a result, and the result."""

    verb: str
    scale: str
    key: dict[str, str]
    settings: dict[str, Any]
    inputs: dict[str, Input]
    artifacts: dict[str, Artifact]
    """By file name, beside the receipt. Only files whose bytes the identity decides."""
    results: dict[str, float | int | str]
    """The job's findings: counts, losses, accuracies, digests of data."""
    code: str
    """Digest of the package's source."""
    environment: dict[str, str]
    """Versions of what computes: Python, torch, timm, …"""
    device: str
    """Kind of device that computed it, `cpu` or the GPU's name."""
    processes: int


class Attempt(_Part):
    """One stretch of work on the job, from a start to an end or an interruption."""

    started: str
    """UTC, ISO 8601."""
    seconds: float
    host: str
    slurm_job: str | None
    hardware: dict[str, str | int] | None = None
    """Processor, cores, memory, driver. None: an older receipt, which did not say."""


class Circumstances(_Part):
    """When, where and how long."""

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
    execution: str
    """Name of this execution, also the tag of its MLflow run."""
    logs: dict[str, Artifact]
    """By file name: files whose bytes depend on the circumstances, such as timings."""
    sealed_inputs: dict[str, str]
    """By role, the seal of the receipt that was read."""


class Receipt(_Part):
    """The proof of one job."""

    format: Literal["dbot receipt 1"] = FORMAT
    id: str
    seal: str
    identity: Identity
    circumstances: Circumstances

    @property
    def seconds(self) -> float:
        """Wall seconds over all attempts."""
        return sum(attempt.seconds for attempt in self.circumstances.attempts)


def make(identity: Identity, circumstances: Circumstances) -> Receipt:
    """A receipt with its id and seal computed, over what it says: not over fields that are newer than it."""
    said, around = identity.model_dump(exclude_unset=True), circumstances.model_dump(exclude_unset=True)
    return Receipt(
        id=data_digest(said),
        seal=data_digest({"identity": said, "circumstances": around}),
        identity=identity,
        circumstances=circumstances,
    )


def write(receipt: Receipt, path: Path) -> None:
    """Write a receipt, whole or not at all."""
    content = {"format": receipt.format, **receipt.model_dump(exclude_unset=True)}
    write_whole(path, (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())


def read(path: Path) -> Receipt:
    """Read a receipt and check its id and seal.

    Raises:
        UserError: it is missing, is no receipt, or was changed after it was written.
    """
    try:
        receipt = Receipt.model_validate_json(path.read_bytes())
        sound = make(receipt.identity, receipt.circumstances) == receipt
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such receipt; run the job that writes it (`snakemake {path}`)") from None
    except (OSError, ValidationError, ValueError) as error:
        if (written := _format(path)) not in (None, FORMAT):
            raise UserError(
                f"{path}: was written by another version of dbot ({written!r}, this one reads {FORMAT!r}); "
                "use that version, or delete it and run its job again"
            ) from None
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path}: is not a receipt ({reason}); delete it and run its job again") from None
    if not sound:
        raise UserError(f"{path}: was changed after it was written (its seal doesn't match); restore it or delete it and run its job again")
    return receipt


def _format(path: Path) -> Any:
    """What a file says of its own format, if it says anything."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content.get("format") if isinstance(content, dict) else None


def artifact_of(path: Path) -> Artifact:
    """The record of a file."""
    return Artifact(sha256=file_digest(path), bytes=path.stat().st_size)


def verified(folder: Path, name: str, recorded: Artifact) -> Path:
    """The path of an artifact, once its bytes are known to be those on record.

    Raises:
        UserError: the file is missing or differs.
    """
    path = folder / name
    if not path.is_file():
        raise UserError(f"{path}: is missing; `dvc pull {path}` brings it where DVC keeps it, else run its job again")
    if path.stat().st_size != recorded.bytes or file_digest(path) != recorded.sha256:
        raise UserError(
            f"{path}: is not the file on its receipt (SHA-256 differs); `dvc checkout {path}` restores it, else run its job again"
        )
    return path
