"""DVC's remote: what it lacks is sent there, and what a push that was cut off left in pieces is sent again.

Over SSH, DVC writes an object under its final name, and of an object that is there it asks no more: one that was cut off by a kill
or by a full disk would stay in pieces for good, and whoever pulls it would find out.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbot.base.errors import UserError
from dbot.versioning.keep import repository

LONGEST = 200
SILENT = "Failure"
"""All that SFTP says of a full disk."""


@dataclass(frozen=True)
class Sent:
    """What a push did."""

    remote: str
    objects: int
    """That it sent."""
    mended: int
    """Of these, that were there in pieces."""


def push(name: str | None = None) -> Sent:
    """Send what a remote lacks of what this project's `.dvc` files name.

    Args:
        name: of the remote. None: the default one.

    Raises:
        UserError: there is no such remote, or it can't be reached or written to.
    """
    with repository("push") as repo, _heard() as reasons:
        remote, told = _of(repo, name)
        try:
            mended = _drop_pieces(repo, remote)
            sent = repo.push(remote=name)
        except Exception as error:  # noqa: BLE001 (whatever DVC, its file systems and the network raise)
            reason = _short(reasons[0] if reasons else error)
            _try_to_drop_pieces(repo, remote)
            raise UserError(f"DVC's remote {told}: {reason}; mend that and run `dbot push` again: what has arrived stays") from None
    return Sent(told, int(sent or 0), mended)


def _of(repo: Any, name: str | None) -> tuple[Any, str]:
    """A remote, and how messages call it: by name and address, without a password.

    Raises:
        UserError: there is no such, or DVC lacks the package that speaks to it.
    """
    from dvc.config import NoRemoteError, RemoteNotFoundError
    from dvc.fs import RemoteMissingDepsError

    try:
        remote = repo.cloud.get_remote(name, "push")
    except (NoRemoteError, RemoteNotFoundError):
        said = "there is no default remote" if name is None else f"there is no remote {name}"
        raise UserError(f"DVC: {said}; `dvc remote add -d NAME ADDRESS` makes one (docs/services.md)") from None
    except (ImportError, RemoteMissingDepsError) as error:
        package = re.search(r"'(dvc-\w+)'", str(error))
        what = f"run: pip install {package[1]}" if package else _short(error)
        raise UserError(f"DVC's remote {name or repo.config['core'].get('remote')}: needs a package that is not here; {what}") from None
    return remote, f"{remote.name} ({remote.fs.unstrip_protocol(remote.path)})"


def _drop_pieces(repo: Any, remote: Any) -> int:
    """Remove the remote's objects that have another size than ours of the same name; returns how many."""
    from dvc_data.hashfile.db import get_index
    from dvc_objects.fs.local import LocalFileSystem

    fs, local, root = remote.fs, repo.cache.local, remote.odb.path
    if isinstance(fs, LocalFileSystem) or not fs.CAN_TRAVERSE:  # a folder gets each object whole; HTTP has no list of what is there
        return 0
    fs.fs.invalidate_cache()
    try:
        found = fs.fs.find(root, detail=True)
    except FileNotFoundError:
        return 0
    pieces = []
    for path, info in found.items():
        oid = "".join(fs.parts(path)[-2:])
        ours = Path(local.oid_to_path(oid))
        if ours.is_file() and ours.stat().st_size != info["size"]:
            pieces.append(path)
    if pieces:
        fs.remove(pieces)
        with closing(get_index(remote.odb)) as index:
            index.clear()  # of what DVC believes to be there
    return len(pieces)


def _try_to_drop_pieces(repo: Any, remote: Any) -> None:
    """The same after a failure, whose reason counts."""
    try:
        _drop_pieces(repo, remote)
    except Exception:  # noqa: BLE001 (the remote may be gone)
        return


@contextmanager
def _heard() -> Iterator[list[BaseException]]:
    """Why single objects could not be sent, which DVC logs with tracebacks and then only counts."""
    found: list[BaseException] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info and record.exc_info[1] is not None:
                found.append(record.exc_info[1])

    ear, loggers = Ear(), [logging.getLogger(name) for name in ("dvc", "dvc_data", "dvc_objects")]
    before = [(list(logger.handlers), logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [ear], False
    try:
        yield found
    finally:
        for logger, (handlers, propagates) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagates


def _short(error: BaseException) -> str:
    """The root of an error in one line."""
    while (deeper := error.__cause__) is not None:
        error = deeper
    said = " ".join((str(error) or type(error).__name__).split())
    if said == SILENT:
        return "it refuses to write, and does not say why: its disk may be full"
    return said if len(said) <= LONGEST else f"{said[: LONGEST - 3]}..."
