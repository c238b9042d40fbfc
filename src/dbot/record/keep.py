"""Handing what a job wrote to DVC."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

from dbot.base.errors import UserError
from dbot.base.lock import locked
from dbot.plan import Job, Plan
from dbot.record.check import check, job_of
from dbot.record.dvc_lock import md5
from dbot.record.execution import STATE, state_folder
from dbot.record.receipt import Receipt
from dbot.record.stages import LOCK_FILE, recorded_digests, write_stages
from dbot.record.target import jobs_done
from dbot.record.untorn import untorn

LOCK = STATE / "dvc.lock.flock"
LOCK_SECONDS = 3600.0
"""Others hold the lock for as long as DVC takes to copy their checkpoints."""


Kept = dict[str, dict[str, str]]
"""By path of a receipt, its id and DVC's MD5s of what its job wrote."""


def keep(plan: Plan, paths: list[Path]) -> Kept:
    """Give the artifacts of some receipts to DVC.

    `dvc commit --force` certifies whatever lies there, so every receipt is checked first.

    Raises:
        UserError: a receipt doesn't hold, or DVC fails.
    """
    return _keep(plan, [(job, check(job)) for job in (job_of(plan, path) for path in paths)])


def keep_rest(plan: Plan) -> tuple[Kept, dict[str, str]]:
    """Give DVC all that its lock files lack, of jobs that are sound; and by name why others are not.

    Raises:
        UserError: DVC fails.
    """
    digests, checked, refused = recorded_digests(), [], {}
    for job in jobs_done(plan):
        if digests.get(job.receipt) != md5(job.receipt):
            try:
                checked.append((job, check(job)))
            except UserError as error:
                refused[job.name] = str(error)
    return _keep(plan, checked) if checked else {}, refused


def _keep(plan: Plan, checked: list[tuple[Job, Receipt]]) -> Kept:
    try:
        with locked(LOCK, LOCK_SECONDS):
            stages = write_stages(plan, [job for job, _ in checked])
            with untorn(sorted(file.with_name(LOCK_FILE) for file in stages)):
                _commit(stages)
            digests = recorded_digests()
    except TimeoutError as error:
        raise UserError(f"DVC is kept busy by another `dbot record` ({error}); wait for it or stop it, and run this again") from None
    for job, receipt in checked:
        # From here on the outputs can be had back from DVC, so the state that could make them again may go.
        shutil.rmtree(state_folder(job, {role: read.id for role, read in receipt.identity.inputs.items()}), ignore_errors=True)
    return {job.receipt.as_posix(): {"id": receipt.id, **_named(job.folder, receipt, digests)} for job, receipt in checked}


def _commit(stages: Mapping[Path, list[str]]) -> None:
    """What ``dvc commit --force --no-relink`` does with each stage, for all stages of a file at once.

    A call of ``dvc commit`` for each would read all of dvc.yaml and params.yaml several times over, for seconds. The run
    cache, which DVC fills as well, is of no use: every stage is frozen.
    """
    from dvc.dvcfile import load_file
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo, lock_repo

    logging.getLogger("dvc").setLevel(logging.ERROR)
    try:
        with Repo(".") as repo, lock_repo(repo):
            for path, names in stages.items():
                file = load_file(repo, path.as_posix())
                declared, done = file.stages, []
                try:
                    for name in names:
                        stage = declared[name]
                        stage.save(run_cache=False)
                        stage.commit(relink=False)
                        done.append(stage)
                finally:
                    file.dump_stages(done, update_pipeline=False)
    except (DvcException, LockError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"dvc commit failed: {reason}; mend that and run `dbot record` again") from None


def _named(folder: Path, receipt: Receipt, digests: dict[Path, str]) -> dict[str, str]:
    names = [*receipt.identity.artifacts, *receipt.circumstances.logs]
    return {name: digests[folder / name] for name in names if folder / name in digests}
