"""Handing what jobs wrote to DVC, and having back from its cache what is no longer here."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dbot.base.errors import UserError
from dbot.base.files import locked, write_whole
from dbot.lineage.judge import Judge, Standing, State, check, is_as_recorded
from dbot.lineage.session import STATE, drop_state
from dbot.lineage.target import jobs_done
from dbot.plan import Job, Plan
from dbot.versioning.pointer import is_kept, kept_by, pointer_path, read_pointer

LOCK = STATE / "dvc.flock"
LOCK_SECONDS = 3600.0
"""Others hold the lock for as long as DVC takes to copy their checkpoints."""


def keep(jobs: Sequence[Job], judge: Judge | None = None) -> list[Path]:
    """Give DVC the large files of some jobs; returns those that it did not have yet.

    DVC takes whatever lies there, so every receipt is checked first, with all of its files.

    Raises:
        UserError: a receipt doesn't hold, or DVC fails.
    """
    judge = judge or Judge()
    receipts = {job.name: check(judge.of(job)) for job in jobs}
    new = _given(jobs)
    for job in jobs:
        # From here on its files can be had back, so the state that could make them again may go.
        drop_state(job, receipts[job.name])
    return new


def keep_at_once(job: Job) -> None:
    """Give DVC what a job has just written, where it is that easy; what went wrong is said, and is left to `dbot record`."""
    try:
        _given([job])
    except (UserError, OSError) as error:
        print(f"DVC does not have the files of {job.name} yet ({error}); `dbot record` hands them over", flush=True)


def keep_rest(plan: Plan) -> tuple[list[Path], dict[str, str]]:
    """Give DVC all that it lacks, of jobs that hold; and by name why others are left out.

    Raises:
        UserError: DVC fails.
    """
    judge, sound, refused = Judge(), [], {}
    for job in jobs_done(plan):
        found = judge.of(job)
        if all(is_kept(path) for path in kept_by(job)):
            if found.own.holds and found.receipt is not None:
                drop_state(job, found.receipt)
            continue
        try:
            check(found)
        except UserError as error:
            refused[job.name] = str(error)
        else:
            sound.append(job)
    return keep(sound, judge), refused


def restore(judge: Judge, jobs: Sequence[Job]) -> list[Path]:
    """Have back from DVC's cache on this machine the files of some jobs that are missing or damaged; returns them.

    What only a remote has is for `dvc pull`: it may take hours.

    Raises:
        UserError: DVC fails.
    """
    lost = [path for job in jobs for path in _lost(judge.of(job)) if read_pointer(path) is not None]
    if not lost:
        return []
    with repository() as repo:
        there = [path for path in lost if repo.cache.local.exists(read_pointer(path).md5)]  # type: ignore[union-attr]
        if there:
            repo.checkout(targets=[str(path) for path in there], force=True)
    return there


def _given(jobs: Sequence[Job]) -> list[Path]:
    """Give DVC the large files of some jobs that it doesn't have; returns them."""
    new = [path for job in jobs for path in kept_by(job) if path.exists() and not is_kept(path)]
    if new:
        with repository() as repo:
            for path in new:
                _add(repo, path)
    return new


def _lost(found: Standing) -> list[Path]:
    """Large files of a job that are missing, or not the ones on its receipt."""
    if found.own not in (State.ABSENT, State.BROKEN) or found.receipt is None:
        return []
    recorded = found.receipt.artifacts
    return [
        path
        for path in kept_by(found.job)
        if not path.exists() or (path.is_file() and path.name in recorded and not is_as_recorded(path, recorded[path.name]))
    ]


def _add(repo: Any, path: Path) -> None:
    """What ``dvc add`` does with a file or folder, but that its `.dvc` file is there whole or not at all, and no link takes its place."""
    from dvc.stage.serialize import to_single_stage_file
    from dvc.utils.serialize import dumps_yaml

    lies = pointer_path(path)
    stage = repo.stage.create(fname=str(lies), wdir=str(path.parent), outs=[path.name], single_stage=True, force=True)
    stage.save()
    stage.commit(relink=False)
    write_whole(lies, dumps_yaml(to_single_stage_file(stage)).encode())


@contextmanager
def repository(verb: str = "record") -> Iterator[Any]:
    """DVC's repository, for this process alone.

    Args:
        verb: what to run again after a failure.

    Raises:
        UserError: DVC fails, or is kept busy.
    """
    try:
        with locked(LOCK, LOCK_SECONDS), _dvc(verb) as repo:
            yield repo
    except TimeoutError as error:
        raise UserError(f"DVC is kept busy by another `dbot record` ({error}); wait for it or stop it, and run this again") from None


@contextmanager
def _dvc(verb: str) -> Iterator[Any]:
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo, lock_repo

    logging.getLogger("dvc").setLevel(logging.ERROR)
    try:
        with Repo(".") as repo, lock_repo(repo):
            yield repo
    except (DvcException, LockError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"DVC failed: {reason}; mend that and run `dbot {verb}` again") from None
