"""What the receipts prove of a planned job, all the way down to the data.

A number is current only if its own receipt and those of all its ancestors are sound: unchanged
since they were written, made for these very jobs, with the parameters that params.yaml now has,
each from the receipt that still lies there. The files that receipts speak of are not hashed
again here; `dbot verify` does that.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from dbot.base.errors import UserError
from dbot.plan import Job
from dbot.record import receipt as receipts
from dbot.record.receipt import Receipt


class State(StrEnum):
    """How a planned job stands; a later one is worse."""

    DONE = "done"
    NOT_RUN = "not run"
    STALE = "stale"
    BROKEN = "broken"


@dataclass(frozen=True)
class Finding:
    """A planned job and what its receipt says of it."""

    job: Job
    path: Path
    state: State
    reason: str
    """Why it isn't done; empty if it is."""
    receipt: Receipt | None
    inputs: Mapping[str, "Finding"] = field(default_factory=dict)
    """By role, as far as the receipt names them."""

    def lineage(self) -> Iterator["Finding"]:
        """This job and every one before it, each once, the nearest first."""
        seen: set[Path] = set()
        queue = [self]
        while queue:
            found = queue.pop(0)
            if found.path not in seen:
                seen.add(found.path)
                yield found
                queue.extend(found.inputs.values())


class Evidence:
    """The findings of one look at the receipts; each receipt is read once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Path], Finding] = {}

    def of(self, job: Job, path: Path | None = None) -> Finding:
        """How a job stands by the receipt at ``path`` (None: the one where the plan has it)."""
        path = job.receipt if path is None else path
        if (job.name, path) not in self._found:
            self._found[job.name, path] = self._look(job, path)
        return self._found[job.name, path]

    def _look(self, job: Job, path: Path) -> Finding:
        if not path.exists():
            return Finding(job, path, State.NOT_RUN, f"{job.name} has not run", None)
        try:
            receipt = receipts.read(path)
        except UserError as error:
            return Finding(job, path, State.BROKEN, str(error), None)
        identity = receipt.identity
        if (identity.verb, identity.scale, identity.key) != (job.verb, job.scale, dict(job.key)):
            return Finding(job, path, State.BROKEN, f"{path}: is the receipt of another job than {job.name}", receipt)
        inputs = {role: self.of(needed, Path(identity.inputs[role].path)) for role, needed in job.inputs.items() if role in identity.inputs}
        state, reason = _judge(job, receipt, inputs)
        return Finding(job, path, state, reason, receipt, inputs)


def _judge(job: Job, receipt: Receipt, inputs: Mapping[str, Finding]) -> tuple[State, str]:
    for found in inputs.values():
        if found.state is State.BROKEN:
            return State.BROKEN, found.reason
        if found.receipt is None:
            return State.BROKEN, f"{job.name} was made from {found.path}, which is no longer there"
    if receipt.identity.settings != job.settings:
        return State.STALE, f"{job.name} was made with other parameters: {'; '.join(_differences(receipt.identity.settings, job.settings))}"
    if set(receipt.identity.inputs) != set(job.inputs):
        was, now = (", ".join(sorted(roles)) or "nothing" for roles in (receipt.identity.inputs, job.inputs))
        return State.STALE, f"{job.name} was made from other inputs: {was}; params.yaml now asks for {now}"
    for role, found in inputs.items():
        if found.state is State.STALE:
            return State.STALE, found.reason
        if found.receipt is not None and found.receipt.id != receipt.identity.inputs[role].id:
            return State.STALE, f"{job.name} was made before {found.job.name} was made anew"
    return State.DONE, ""


def _differences(was: Any, now: Any, path: str = "") -> list[str]:
    """The leaves in which two settings differ, in words."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        keys = dict.fromkeys([*was, *now])
        return [line for key in keys for line in _differences(was.get(key), now.get(key), f"{path}.{key}".lstrip("."))]
    return [] if was == now else [f"{path} was {was}, params.yaml now has {now}"]


def spent(findings: Iterable[Finding]) -> dict[str, float]:
    """Hours by kind of device over the lineages of some jobs, each job counted once."""
    jobs = {found.path: found.receipt for start in findings for found in start.lineage() if found.receipt is not None}
    hours: dict[str, float] = {}
    for _, receipt in sorted(jobs.items()):
        device = receipt.identity.device
        hours[device] = hours.get(device, 0.0) + receipt.circumstances.device_hours
    return hours
