"""How every result of a plan stands: built, stale and why, missing, running.

A job is judged by its own receipt first; a result is as good as the worst job behind it. Contents of
files are not read here (`dbot verify` does that), so this is quick even where checkpoints are large.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from dbot.base.errors import UserError
from dbot.plan import Job, Plan
from dbot.record import receipt as receipts
from dbot.record import surroundings
from dbot.record.check import seals_at
from dbot.record.flat import differences
from dbot.record.receipt import Receipt
from dbot.record.underway import Underway, underway

LONGEST = 48
"""Characters of a value that a reason quotes."""
TAIL_BYTES = 8192
REASON = re.compile(r"(dbot [\w-]+: (?!left off)|workflow/launch: |[\w.]*(Error|Exception|KeyboardInterrupt)\b)")
"""How a log's last line begins where a job ended of itself."""


class State(StrEnum):
    """How a job or a result stands; of the jobs behind a result the last in this order decides."""

    BUILT = "built"
    MISSING = "missing"
    """It has no receipt."""
    FAILED = "failed"
    """It has no receipt, and its log ends with the reason."""
    ABSENT = "absent"
    """It has a receipt, and files of it are not here."""
    STALE = "stale"
    """What it was made from has changed since."""
    BROKEN = "broken"
    """Its receipt was changed, or belongs to another job."""
    RUNNING = "running"


class Changed(StrEnum):
    """What has changed since a job was done."""

    PARAMETERS = "parameters"
    INPUTS = "inputs"
    """The result of a job that it reads."""
    DATA = "data"
    """A data set."""


@dataclass(frozen=True)
class JobStatus:
    """One job, judged by its own receipt."""

    job: Job
    state: State
    reasons: tuple[str, ...] = ()
    changed: tuple[Changed, ...] = ()
    receipt: Receipt | None = None
    underway: Underway | None = None

    @property
    def by_other_code(self) -> bool:
        """Whether the package's source has changed since. No reason to run it again, but worth knowing."""
        return self.receipt is not None and self.receipt.identity.code != surroundings.code_digest()


@dataclass(frozen=True)
class ResultStatus:
    """A job that somebody asked for, and those behind it."""

    job: Job
    jobs: tuple[JobStatus, ...]
    """From the data to the result itself."""

    @property
    def state(self) -> State:
        order = list(State)
        return max((each.state for each in self.jobs), key=order.index)


@dataclass
class Status:
    """How some results stand."""

    results: list[ResultStatus] = field(default_factory=list)
    jobs: dict[str, JobStatus] = field(default_factory=dict)
    """By name, each job behind them, ancestors first."""

    def needing(self, name: str) -> list[ResultStatus]:
        """The results that a job is behind."""
        return [result for result in self.results if any(each.job.name == name for each in result.jobs)]


def status(plan: Plan, wanted: Sequence[Job]) -> Status:
    """Look at the jobs wanted and all that they need; each is looked at once."""
    found = Status()
    for job in plan.jobs(list(wanted)):
        found.jobs[job.name] = job_status(job)
    for job in {each.name: each for each in wanted}.values():
        found.results.append(ResultStatus(job, tuple(found.jobs[each.name] for each in plan.jobs([job]))))
    return found


def job_status(job: Job) -> JobStatus:
    """Judge a job by its receipt, the receipts of its inputs, and the files that should lie there."""
    begun = underway(job)
    if begun is not None and begun.running:
        return JobStatus(job, State.RUNNING, (_progress(begun),), underway=begun)
    if not job.receipt.exists():
        goes_on = (f"begun: goes on after {_progress(begun)}",) if begun is not None and begun.epoch is not None else ()
        if (reason := reason_of_end(job.log)) is not None:
            return JobStatus(job, State.FAILED, (f"{reason} (log: {job.log})", *goes_on), underway=begun)
        return JobStatus(job, State.MISSING, goes_on, underway=begun)
    try:
        receipt = receipts.read(job.receipt)
    except UserError as error:
        return JobStatus(job, State.BROKEN, (str(error),))
    if (receipt.identity.verb, receipt.identity.scale, receipt.identity.key) != (job.verb, job.scale, dict(job.key)):
        return JobStatus(job, State.BROKEN, (f"{job.receipt}: is the receipt of another job",), receipt=receipt)
    changes = list(_changes(job, receipt))
    if changes:
        kinds = tuple(dict.fromkeys(kind for kind, _ in changes))
        return JobStatus(job, State.STALE, tuple(text for _, text in changes), kinds, receipt, begun)
    absent = tuple(_absent(job, receipt))
    return JobStatus(job, State.ABSENT if absent else State.BUILT, absent, receipt=receipt)


def reason_of_end(log: Path) -> str | None:
    """The last line of a job's log, where it says why the job ended (`dbot`'s own words, or an exception); None if it doesn't."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL_BYTES))
            lines = [line for line in stream.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return None
    return lines[-1] if lines and REASON.match(lines[-1]) else None


def failures(jobs: Sequence[Job], since: float) -> Iterator[str]:
    """A line for each of some jobs whose log has ended with a reason since a time, in seconds since 1970."""
    for job in jobs:
        if job.log.is_file() and job.log.stat().st_mtime >= since and (reason := reason_of_end(job.log)) is not None:
            yield f"{job.name} failed: {reason} (log: {job.log})"


def _changes(job: Job, receipt: Receipt) -> Iterator[tuple[Changed, str]]:
    identity = receipt.identity
    for key, was, now in differences(identity.settings, job.settings):
        yield Changed.PARAMETERS, f"{key} was {_brief(was)}, is now {_brief(now)}"
    if identity.inputs.keys() != job.inputs.keys():
        was, now = (", ".join(sorted(roles)) or "nothing" for roles in (identity.inputs, job.inputs))
        yield Changed.PARAMETERS, f"was made from {was}, the plan now has {now}"
    for role, needed in job.inputs.items():
        if role not in identity.inputs or not needed.receipt.exists():
            continue
        read = identity.inputs[role]
        kind = Changed.DATA if needed.verb in ("generate", "prepare") else Changed.INPUTS
        if read.path != needed.receipt.as_posix():
            yield Changed.PARAMETERS, f"{role} was {read.path}, is now {needed.receipt.as_posix()}"
            continue
        try:
            now_there = receipts.read(needed.receipt)
        except UserError:
            continue  # is that job's own affair
        if now_there.id != read.id:
            yield kind, f"{needed.name} was {read.id[:12]}, is now {now_there.id[:12]}"
        elif receipt.circumstances.sealed_inputs[role] not in seals_at(needed.receipt):
            yield kind, f"{needed.name} ran again since, with the same result"


def _absent(job: Job, receipt: Receipt) -> Iterator[str]:
    """Files that are not here, or not of the size on the receipt."""
    for name, recorded in {**receipt.identity.artifacts, **receipt.circumstances.logs}.items():
        path = job.folder / name
        if not path.is_file():
            yield f"{path} is not here; `dvc pull {path}` brings it where DVC keeps it"
        elif path.stat().st_size != recorded.bytes:
            yield f"{path} has {path.stat().st_size:,} bytes, on its receipt {recorded.bytes:,}; `dvc checkout {path}` restores it"
    root = job.settings.get("root") if job.verb == "generate" else None
    if root is not None and not Path(root).is_dir():
        yield f"{root} is not here; `dvc pull {root}` brings it where DVC keeps it"


def _progress(begun: Underway) -> str:
    if begun.epoch is None:
        return f"no epoch yet, on {begun.host}, last sign {begun.seen}"
    loss = f", loss {begun.loss:.4g}" if begun.loss is not None else ""
    return f"epoch {begun.epoch} of {begun.epochs}{loss}, on {begun.host}, last sign {begun.seen}"


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
