"""Whether a job's receipt still tells the truth about what lies there."""

from pathlib import Path

from dbot.base.errors import UserError
from dbot.plan import Job, Plan
from dbot.record import receipt as receipts
from dbot.record.flat import first_difference
from dbot.record.receipt import Receipt

BESIDE = "beside"
"""Folder beside a receipt with further ones of the same result."""


def job_of(plan: Plan, path: Path) -> Job:
    """The planned job that a receipt belongs to.

    Raises:
        UserError: the plan has no such job, or the receipt doesn't lie where the plan has it.
    """
    identity = receipts.read(path).identity
    if identity.scale != plan.scale:
        raise UserError(f"{path}: is of scale {identity.scale}, and this is scale {plan.scale}; add --scale {identity.scale}")
    job = plan.job(identity.verb, **identity.key)
    if path.resolve() != job.receipt.resolve():
        raise UserError(f"{path}: is the receipt of {job.name}, which belongs at {job.receipt}; run dbot in the project's folder")
    return job


def check(job: Job) -> Receipt:
    """Check a job's receipt against its seal, its files, the receipts of its inputs, and params.yaml.

    Raises:
        UserError: names the first thing that doesn't match.
    """
    path = job.receipt
    receipt = receipts.read(path)
    identity = receipt.identity
    if (identity.verb, identity.scale, identity.key) != (job.verb, job.scale, dict(job.key)):
        raise UserError(f"{path}: is the receipt of another job than {job.name}; delete it and run: {job.command}")
    if (difference := first_difference(identity.settings, job.settings)) is not None:
        key, was, is_now = difference
        raise UserError(
            f"{path}: was made with {key} = {was}, now it is {is_now}; run the job again (`snakemake {path}`) or restore the value"
        )
    if identity.inputs.keys() != job.inputs.keys():
        raise UserError(f"{path}: was made from other inputs ({', '.join(identity.inputs)}) than the plan has; run its job again")
    if unlisted := set(job.artifacts) - identity.artifacts.keys() - receipt.circumstances.logs.keys():
        raise UserError(f"{path}: says nothing of {', '.join(sorted(unlisted))}, which its job writes; run: {job.command}")
    for role, read in identity.inputs.items():
        if read.path != job.inputs[role].receipt.as_posix():
            raise UserError(f"{path}: was made from {read.path}, the plan has {job.inputs[role].receipt}; run: {job.command}")
        now = receipts.read(Path(read.path))
        if now.id != read.id or receipt.circumstances.sealed_inputs[role] not in seals_at(Path(read.path)):
            raise UserError(f"{path}: was made from another {read.path} than lies there now; run its job again (`snakemake {path}`)")
    for name, recorded in {**identity.artifacts, **receipt.circumstances.logs}.items():
        receipts.verified(job.folder, name, recorded)
    return receipt


def receipts_at(path: Path) -> list[Path]:
    """The receipt at a path, and those that `dbot merge` put beside it: the same job with the same result, done twice."""
    return [path, *sorted(path.parent.glob(f"{BESIDE}/*.json"))]


def seals_at(path: Path) -> set[str]:
    """The seals of the receipts at a path.

    Raises:
        UserError: one of them was changed, or has another result.
    """
    here, *others = receipts_at(path)
    first = receipts.read(here)
    seals = {first.seal}
    for other in others:
        beside = receipts.read(other)
        if beside.id != first.id:
            raise UserError(
                f"{other}: is of another result than {path}, beside which it lies; delete it and run again what was made from it"
            )
        seals.add(beside.seal)
    return seals
