"""How every job and result stands: the one judge, whom the table, the page, `dbot status`, `dbot verify`, the forecast and
Snakemake's plan all ask.

A job is judged by its own receipt, those of its inputs, params.yaml, and the files that should lie there; a result by all
that is behind it. Large files are known by their size here, so that this is quick; `dbot verify` reads them too.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from dbot.base.digest import file_digest
from dbot.base.errors import UserError
from dbot.lineage import executions, surroundings
from dbot.lineage import receipt as receipts
from dbot.lineage.executions import Execution
from dbot.lineage.receipt import Artifact, Receipt, differences
from dbot.lineage.underway import Underway, underway
from dbot.plan import Job, Plan

LONGEST = 48
"""Characters of a value that a reason quotes."""
READ_BYTES = 4 * 2**20
"""Files up to this size are read each time; of larger ones the size is compared."""
TAIL_BYTES = 8192
REASON = re.compile(r"(dbot [\w-]+: (?!left off)|workflow/launch: |[\w.]*(Error|Exception|KeyboardInterrupt)\b)")
"""How a log's last line begins where a job ended of itself."""


class State(StrEnum):
    """How a job or a result stands; a later one is worse."""

    BUILT = "built"
    ABSENT = "absent"
    """Its receipt holds, and files of it are not here: DVC brings them, or its job makes them again once something needs them."""
    NOT_RUN = "not run"
    """It has no receipt."""
    FAILED = "failed"
    """It has no receipt, and its log ends with the reason."""
    STALE = "stale"
    """What it was made from has changed since."""
    BROKEN = "broken"
    """Its receipt was changed or is another job's, or a file of it is not the one on the receipt."""
    RUNNING = "running"

    @property
    def holds(self) -> bool:
        """Whether its numbers may be shown."""
        return self in (State.BUILT, State.ABSENT)

    @property
    def is_there(self) -> bool:
        """Whether there is a receipt to speak of."""
        return self not in (State.NOT_RUN, State.FAILED)


class Changed(StrEnum):
    """What has changed since a job was done."""

    PARAMETERS = "parameters"
    INPUTS = "inputs"
    """The result of a job that it reads."""
    DATA = "data"
    """A data set."""


@dataclass(frozen=True)
class Standing:
    """How a job stands, with all that is behind it."""

    job: Job
    own: State
    """By its own receipt."""
    reasons: tuple[str, ...] = ()
    """Why it is not built; nothing where there is nothing to say."""
    changed: tuple[Changed, ...] = ()
    receipt: Receipt | None = None
    execution: Execution | None = None
    """The earliest that ended in the receipt; None where there is no receipt, or a broken one."""
    underway: Underway | None = None
    inputs: Mapping[str, "Standing"] = field(default_factory=dict)
    """By role."""

    @property
    def path(self) -> Path:
        """Where its receipt lies, or would."""
        return self.job.receipt

    @cached_property
    def state(self) -> State:
        """The worst of the states of this job and of those behind it.

        Where it has not been done itself, only what keeps it from that counts; files that jobs behind it left and that are not
        here take nothing from a result.
        """
        order = list(State)
        behind = {found.own for found in self.lineage() if found is not self} - {State.ABSENT}
        if not self.own.is_there:
            behind &= {State.FAILED, State.RUNNING}
        return max({self.own, *behind}, key=order.index)

    @property
    def reason(self) -> str:
        """Why the result is not built, from the job where that begins; empty if it is."""
        if self.state is State.BUILT:
            return ""
        if self.state is self.own is State.NOT_RUN:
            return "; ".join((f"{self.job.name} has not run", *self.reasons))
        begins = [found for found in self.lineage() if found.own is self.state][-1]
        said = "; ".join(begins.reasons) or f"{begins.job.name} has not run"
        return said if begins.job.name in said else f"{begins.job.name}: {said}"

    @property
    def by_other_code(self) -> bool:
        """Whether the package's source has changed since. No reason to run it again, but worth knowing."""
        return self.receipt is not None and self.receipt.code != surroundings.code_digest()

    def lineage(self) -> Iterator["Standing"]:
        """This job and every one before it, each once, the nearest first."""
        seen: set[str] = set()
        queue = [self]
        while queue:
            found = queue.pop(0)
            if found.job.name not in seen:
                seen.add(found.job.name)
                yield found
                queue.extend(found.inputs.values())


class Judge:
    """One look at what lies here; each job is looked at once."""

    def __init__(self) -> None:
        self._found: dict[str, Standing] = {}

    def of(self, job: Job) -> Standing:
        """How a job stands."""
        if job.name not in self._found:
            inputs = {role: self.of(needed) for role, needed in job.inputs.items()}
            self._found[job.name] = self._look(job, inputs)
        return self._found[job.name]

    def to_do(self, plan: Plan, targets: Sequence[Job]) -> list[Job]:
        """The jobs that have to run for some results, ancestors first: what Snakemake plans.

        Those that don't hold, those that read from them, and those whose files are not here and are read by one of these.
        """
        jobs, wanted = plan.jobs(list(targets)), set[str]()
        while True:
            before = len(wanted)
            for job in jobs:
                if not self.of(job).own.holds or any(needed.name in wanted for needed in job.inputs.values()):
                    wanted.add(job.name)
            for job in jobs:
                if job.name in wanted:
                    wanted |= {needed.name for role, needed in job.inputs.items() if not all(map(Path.is_file, job.reads(role)))}
            if len(wanted) == before:
                return [job for job in jobs if job.name in wanted]

    def _look(self, job: Job, inputs: Mapping[str, Standing]) -> Standing:
        ids = {role: found.receipt.id for role, found in inputs.items() if found.receipt is not None}
        begun = underway(job, ids) if len(ids) == len(inputs) else None
        if begun is not None and begun.running:
            return Standing(job, State.RUNNING, (_progress(begun),), underway=begun, inputs=inputs)
        if not job.receipt.exists():
            goes_on = (
                (f"begun: goes on from its last state; it had come to {_progress(begun)}",)
                if begun is not None and begun.epoch is not None
                else ()
            )
            if (reason := reason_of_end(job.log)) is not None:
                return Standing(job, State.FAILED, (f"{reason} (log: {job.log})", *goes_on), underway=begun, inputs=inputs)
            return Standing(job, State.NOT_RUN, goes_on, underway=begun, inputs=inputs)
        try:
            receipt = receipts.read(job.receipt)
            if (receipt.verb, receipt.scale, receipt.key) != (job.verb, job.scale, dict(job.key)):
                raise UserError(f"{job.receipt}: is the receipt of another job than {job.name}; delete it and run: {job.command}")
            execution = executions.execution_of(job.receipt, receipt.id)
        except UserError as error:
            return Standing(job, State.BROKEN, (str(error),), inputs=inputs)
        damaged = tuple(_damaged(job, receipt))
        if damaged:
            return Standing(job, State.BROKEN, damaged, (), receipt, execution, begun, inputs)
        if changes := list(_changes(job, receipt, inputs)):
            kinds = tuple(dict.fromkeys(kind for kind, _ in changes))
            return Standing(job, State.STALE, tuple(text for _, text in changes), kinds, receipt, execution, begun, inputs)
        absent = tuple(_absent(job, receipt))
        return Standing(job, State.ABSENT if absent else State.BUILT, absent, (), receipt, execution, begun, inputs)


def job_of(plan: Plan, path: Path) -> Job:
    """The planned job that a receipt belongs to.

    Raises:
        UserError: the plan has no such job, or the receipt doesn't lie where the plan has it.
    """
    receipt = receipts.read(path)
    if receipt.scale != plan.scale:
        raise UserError(f"{path}: is of scale {receipt.scale}, and this is scale {plan.scale}; add --scale {receipt.scale}")
    job = plan.job(receipt.verb, **receipt.key)
    if path.resolve() != job.receipt.resolve():
        raise UserError(f"{path}: is the receipt of {job.name}, which belongs at {job.receipt}; run dbot in the project's folder")
    return job


def check(standing: Standing) -> Receipt:
    """The receipt of a job, once it is known to hold, with every file that it speaks of read.

    Raises:
        UserError: names the first thing that doesn't match.
    """
    job, receipt = standing.job, standing.receipt
    if receipt is None and standing.own is State.NOT_RUN:
        receipts.read(job.receipt)  # says that it is not there
    if receipt is None or not standing.own.holds:
        remedy = f"; run the job again (`snakemake {job.receipt}`) or restore what was" if standing.own is State.STALE else ""
        raise UserError(*(f"{_named(job, reason)}{remedy}" for reason in standing.reasons[:1]))
    for name, recorded in receipt.artifacts.items():
        if _may_lack(job, name):
            continue
        # The judge has read the small ones.
        if recorded.bytes > READ_BYTES or not (job.folder / name).is_file():
            receipts.verified(job.folder, name, recorded)
    return receipt


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


def spent(found: Iterable[Standing]) -> dict[str, float]:
    """Hours by kind of device over the lineages of some jobs, each job counted once."""
    jobs = {each.path: each for start in found for each in start.lineage()}
    hours: dict[str, float] = {}
    for _, each in sorted(jobs.items()):
        if each.receipt is not None and each.execution is not None:
            hours[each.receipt.device] = hours.get(each.receipt.device, 0.0) + each.execution.device_hours
    return hours


def _changes(job: Job, receipt: Receipt, inputs: Mapping[str, Standing]) -> Iterator[tuple[Changed, str]]:
    for key, was, now in differences(receipt.settings, job.settings):
        yield Changed.PARAMETERS, f"{key} was {_brief(was)}, is now {_brief(now)}"
    if receipt.inputs.keys() != job.inputs.keys():
        was, now = (", ".join(sorted(roles)) or "nothing" for roles in (receipt.inputs, job.inputs))
        yield Changed.PARAMETERS, f"was made from {was}, the plan now has {now}"
    if unlisted := set(job.artifacts) - receipt.artifacts.keys():
        yield Changed.PARAMETERS, f"says nothing of {', '.join(sorted(unlisted))}, which its job writes"
    for role, found in inputs.items():
        if role not in receipt.inputs:
            continue
        read, needed = receipt.inputs[role], found.job
        kind = Changed.DATA if needed.kind.is_data else Changed.INPUTS
        if read.path != needed.receipt.as_posix():
            yield Changed.PARAMETERS, f"{role} was {read.path}, is now {needed.receipt.as_posix()}"
        elif found.receipt is not None and found.receipt.id != read.id:
            yield kind, f"{needed.name} was {read.id[:12]}, is now {found.receipt.id[:12]}"


def _damaged(job: Job, receipt: Receipt) -> Iterator[str]:
    """Files that are here and are not the ones on the receipt."""
    for name, recorded in receipt.artifacts.items():
        path = job.folder / name
        if path.is_file() and not is_as_recorded(path, recorded):
            yield f"{path}: is not the file on its receipt; `dvc checkout` or `git checkout` of it restores it, else run its job again"


def is_as_recorded(path: Path, recorded: Artifact) -> bool:
    """Whether a file is the one on a receipt; a large one by its size."""
    return path.stat().st_size == recorded.bytes and (recorded.bytes > READ_BYTES or file_digest(path) == recorded.sha256)


def _may_lack(job: Job, name: str) -> bool:
    """Whether a file is a picture that did not come along: published results leave out those that show data of others."""
    return name in job.kind.pictures and not (job.folder / name).is_file()


def _absent(job: Job, receipt: Receipt) -> Iterator[str]:
    """Files that are not here."""
    for name in receipt.artifacts:
        if not (job.folder / name).is_file() and not _may_lack(job, name):
            path = job.folder / name
            yield f"{path} is not here; `dvc pull {path}` brings it where DVC keeps it, else its job makes it again"
    folder = job.kind.fills(job)
    if folder is not None and not folder.is_dir():
        yield f"{folder} is not here; `dvc pull {folder}` brings it where DVC keeps it, else run: {job.command}"


def _progress(begun: Underway) -> str:
    if begun.epoch is None:
        return f"no epoch yet, on {begun.host}, last sign {begun.seen}"
    loss = f", loss {begun.loss:.4g}" if begun.loss is not None else ""
    return f"epoch {begun.epoch} of {begun.epochs}{loss}, on {begun.host}, last sign {begun.seen}"


def _named(job: Job, reason: str) -> str:
    """A reason that says of which receipt it speaks."""
    return reason if reason.startswith(job.folder.as_posix()) else f"{job.receipt}: {reason}"


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
