"""Handing what a job wrote to DVC."""

import logging
import shutil
from pathlib import Path

from dbot.errors import UserError
from dbot.plan import Plan
from dbot.record.check import check, job_of
from dbot.record.execution import STATE, state_folder
from dbot.record.lock import locked
from dbot.record.receipt import Receipt
from dbot.record.stages import LOCK_FILE, recorded_digests, stage_name, write_stages
from dbot.record.untorn import untorn

LOCK = STATE / "dvc.lock.flock"
LOCK_SECONDS = 3600.0
"""Others hold the lock for as long as DVC takes to copy their checkpoints."""


def keep(plan: Plan, paths: list[Path]) -> dict[str, dict[str, str]]:
    """Give the artifacts of some receipts to DVC; returns id and DVC's MD5s for each receipt, by path.

    `dvc commit --force` certifies whatever lies there, so every receipt is checked first.

    Raises:
        UserError: a receipt doesn't hold, or DVC fails.
    """
    checked = [(job, check(job)) for job in (job_of(plan, path) for path in paths)]
    try:
        with locked(LOCK, LOCK_SECONDS):
            stages = [(write_stages(plan, job), stage_name(job)) for job, _ in checked]
            with untorn(sorted({file.with_name(LOCK_FILE) for file, _ in stages})):
                _commit([f"{file.as_posix()}:{name}" for file, name in stages])
            digests = recorded_digests()
    except TimeoutError as error:
        raise UserError(f"DVC is kept busy by another `dbot record` ({error}); wait for it or stop it, and run this again") from None
    for job, receipt in checked:
        # From here on the outputs can be had back from DVC, so the state that could make them again may go.
        shutil.rmtree(state_folder(job, {role: read.id for role, read in receipt.identity.inputs.items()}), ignore_errors=True)
    return {job.receipt.as_posix(): {"id": receipt.id, **_named(job.folder, receipt, digests)} for job, receipt in checked}


def _commit(stages: list[str]) -> None:
    """``dvc commit --force --no-relink <stages>`` in this process, which is half as long as a command line of its own."""
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.ERROR)
    try:
        with Repo(".") as repo:
            for stage in stages:
                repo.commit(stage, force=True, relink=False)
    except (DvcException, LockError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"dvc commit failed: {reason}; mend that and run `dbot record` again") from None


def _named(folder: Path, receipt: Receipt, digests: dict[Path, str]) -> dict[str, str]:
    names = [*receipt.identity.artifacts, *receipt.circumstances.logs]
    return {name: digests[folder / name] for name in names if folder / name in digests}
