"""Whether it makes sense to go on waiting for a Slurm job: what Snakemake's executor would wait for, for ever."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

NEVER = re.compile(
    r"Partition(TimeLimit|NodeLimit|Config)|BadConstraints|DependencyNeverSatisfied|DeadLine|QOSResourceLimit|QOSMin\w*"
    r"|Invalid\w*|\w*NotAllowed|(QOSMax|AssocMax|Max)\w*(PerJob|PerNode|WallDuration)\w*"
)
"""Reasons (https://slurm.schedmd.com/job_reason_codes.html) why a job as it is can't ever start, whatever becomes free."""
HELD = re.compile(r"JobHeld\w*|launch_failed_requeued_held|JobLaunchFailure|.*requeued.held.*", re.IGNORECASE)
"""It waits for a person."""
TAKEN_AWAY = ("PREEMPTED", "NODE_FAIL", "REVOKED")
"""States in which Slurm leaves a job that it took off its nodes; it puts it back into the queue by itself, or never."""
GONE_SECONDS = 300.0
"""How long a job may be unknown to a Slurm that answers: one that has just been submitted, or whose controller was started anew."""


class Verdict(Enum):
    WAIT = "wait"
    REQUEUE = "requeue"
    """Put it back into the queue; where Slurm refuses, it has failed."""
    HELD = "held"
    """Wait, and say that it needs a person."""
    NEVER = "never"
    """It can't start: take it out of the queue and report why."""
    GONE = "gone"
    """Slurm has forgotten it."""


@dataclass
class Waiting:
    """Remembers of each job how Slurm answered before, because one answer alone is no reason to give up."""

    before: dict[str, str] = field(default_factory=dict)
    missing_since: dict[str, float] = field(default_factory=dict)

    def judge(self, number: str, answers: Mapping[str, tuple[str, str]], now: float | None = None) -> Verdict:
        """What to do about a job.

        Args:
            number: of the job.
            answers: by number, state and reason as `squeue` gives them for all jobs that Snakemake waits for.
            now: seconds, of a clock that doesn't jump.
        """
        now = time.monotonic() if now is None else now
        if number not in answers:
            since = self.missing_since.setdefault(number, now)
            return Verdict.GONE if now - since >= GONE_SECONDS else Verdict.WAIT
        self.missing_since.pop(number, None)
        state, reason = answers[number]
        found = self._verdict(state, reason)
        told = f"{found}{reason if found is Verdict.HELD else ''}"
        before, self.before[number] = self.before.get(number), told
        if found is Verdict.HELD:
            return found if before != told else Verdict.WAIT  # said once
        return found if before == told else Verdict.WAIT

    @staticmethod
    def _verdict(state: str, reason: str) -> Verdict:
        if state in TAKEN_AWAY:
            return Verdict.REQUEUE
        if state == "SPECIAL_EXIT" or (state == "PENDING" and HELD.fullmatch(reason)):
            return Verdict.HELD
        if state == "PENDING" and NEVER.fullmatch(reason):
            return Verdict.NEVER
        return Verdict.WAIT
