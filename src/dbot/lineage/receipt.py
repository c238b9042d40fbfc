"""Receipts: what went into a job and what came out, by digest.

A receipt is a fact. It holds what decides a result and the result itself, and nothing of when, where or by whom
it was computed: the same computation, done anywhere, writes the same bytes (on GPUs where its recipe, among the settings,
says `deterministic`). Those circumstances stand in the executions beside it (`dbot.lineage.executions`).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from dbot.base.digest import data_digest, file_digest
from dbot.base.errors import UserError
from dbot.base.files import write_whole

FORMAT: Literal["dbot receipt 2"] = "dbot receipt 2"


class Part(BaseModel):
    """Something that a receipt or an execution says; what it doesn't know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Artifact(Part):
    """A file that a job wrote beside its receipt."""

    sha256: str
    bytes: int


class InputReceipt(Part):
    """A receipt that a job read."""

    path: str
    """Relative to the project."""
    id: str


class Receipt(Part):
    """The proof of one job: what decides its result, and the result."""

    format: Literal["dbot receipt 2"] = FORMAT
    id: str
    """Digest of all that follows."""
    verb: str
    scale: str
    key: dict[str, str]
    settings: dict[str, Any]
    inputs: dict[str, InputReceipt]
    """By role."""
    artifacts: dict[str, Artifact]
    """By file name, beside the receipt. Only files whose bytes all of this decides."""
    results: dict[str, float | int | str]
    """The job's findings: counts, losses, accuracies, digests of data."""
    code: str
    """Digest of the package's source."""
    environment: dict[str, str]
    """Versions of what computes: Python, torch, timm, …"""
    device: str
    """Kind of device that computed it, `cpu` or the GPU's name."""
    processes: int


def make(**said: Any) -> Receipt:
    """A receipt that says this, with its id computed."""
    receipt = Receipt(id="", **said)
    return receipt.model_copy(update={"id": _digest(receipt)})


def write(receipt: Receipt, path: Path) -> None:
    """Write a receipt, whole or not at all."""
    write_whole(path, text(receipt))


def text(receipt: Receipt) -> bytes:
    """The one file that says what a receipt says."""
    content = receipt.model_dump(exclude={"format", "id"})
    ordered = {"format": receipt.format, "id": receipt.id, **{name: content[name] for name in sorted(content)}}
    return (json.dumps(ordered, indent=1, ensure_ascii=False) + "\n").encode()


def read(path: Path) -> Receipt:
    """Read a receipt and check that it is as it was written, to the byte.

    Raises:
        UserError: it is missing, is no receipt, or was changed after it was written.
    """
    try:
        return parsed(path.read_bytes(), path)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such receipt; run the job that writes it (`snakemake {path}`)") from None
    except OSError as error:
        raise UserError(unreadable(path, "receipt", FORMAT, error, None)) from None


def parsed(content: bytes, source: Path | str) -> Receipt:
    """The receipt that a file holds, once it is known to be as it was written, to the byte.

    Args:
        content: of the file.
        source: what messages call it.

    Raises:
        UserError: it is no receipt, or was changed after it was written.
    """
    try:
        receipt = Receipt.model_validate_json(content)
        sound = receipt.id == _digest(receipt) and _same(content, text(receipt))
    except ValueError as error:
        raise UserError(unreadable(source, "receipt", FORMAT, error, content)) from None
    if not sound:
        raise UserError(f"{source}: was changed after it was written (its id doesn't match); restore it or delete it and run its job again")
    return receipt


def unreadable(path: Path | str, what: str, version: str, error: Exception, content: bytes | None) -> str:
    """Why a file is no receipt, or no execution, and what to do about it."""
    if (written := _format(content)) not in (None, version):
        return (
            f"{path}: was written by another version of dbot ({written!r}, this one reads {version!r}); "
            "use that version, or delete it and run its job again"
        )
    reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else getattr(error, "strerror", None) or str(error)
    return f"{path}: is not {'an' if what[0] in 'aeiou' else 'a'} {what} ({reason}); delete it and run its job again"


def _digest(receipt: Receipt) -> str:
    return data_digest(receipt.model_dump(exclude={"format", "id"}))


def _same(lies: bytes, written: bytes) -> bool:
    """Whether a file is as it was written; git may have changed the ends of its lines."""
    return lies == written or lies.replace(b"\r\n", b"\n") == written


def _format(content: bytes | None) -> Any:
    """What a file says of its own format, if it says anything."""
    try:
        said = json.loads(content or b"")
    except (ValueError, RecursionError):
        return None
    return said.get("format") if isinstance(said, dict) else None


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
            f"{path}: is not the file on its receipt (SHA-256 differs); "
            "`dvc checkout` or `git checkout` of it restores it, else run its job again"
        )
    return path


def flattened(data: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """``{"loss": {"beta": 2}}`` as ``{"loss.beta": 2}``; lists are values."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        here = f"{above}.{key}" if above else str(key)
        if isinstance(value, Mapping) and value:
            flat.update(flattened(value, here))
        else:
            flat[here] = value
    return flat


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Each dotted key at which two settings differ, with both values; a key that is not there counts as None."""
    left, right = flattened(one), flattened(other)
    for key in [*left, *(key for key in right if key not in left)]:
        if (key in left) != (key in right) or left[key] != right[key]:
            yield key, left.get(key), right.get(key)
