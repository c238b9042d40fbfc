"""Whether it makes sense to go on waiting for a Slurm job: what Snakemake's executor would wait for, for ever."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

NEVER = re.compile(
    r"PartitionTimeLimit|DependencyNeverSatisfied|DeadLine|QOSMin\w*|Invalid\w*|\w*NotAllowed"
    r"|(QOSMax|AssocMax|Max)\w*(PerJob|PerNode|WallDuration)\w*"
)
"""Reasons (https://slurm.schedmd.com/job_reason_codes.html) why a job as it is can't ever start, whatever becomes free."""
DOUBTFUL = re.compile(r"PartitionNodeLimit|PartitionConfig|BadConstraints")
"""Reasons that Slurm also gives while the nodes that would do are down or drained."""
DOUBTFUL_SECONDS = 6 * 3600.0
HELD = re.compile(r"JobHeld\w*|.*requeued.held", re.IGNORECASE)
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

    answered: dict[str, tuple[str, float]] = field(default_factory=dict)
    """By number, the last answer, and since when it has been the same."""

    def judge(self, number: str, answers: Mapping[str, tuple[str, str]], now: float | None = None) -> Verdict:
        """What to do about a job.

        Args:
            number: of the job.
            answers: by number, state and reason as `squeue` gives them for all jobs that Snakemake waits for.
            now: seconds, of a clock that doesn't jump.
        """
        now = time.monotonic() if now is None else now
        state, reason = answers.get(number, ("", ""))
        answer = f"{state} {reason}"
        before, since = self.answered.get(number, ("", now))
        news = answer != before
        if news:
            since = now
        self.answered[number] = (answer, since)
        pending = state == "PENDING"
        if state == "SPECIAL_EXIT" or (pending and HELD.fullmatch(reason)):
            return Verdict.HELD if news else Verdict.WAIT  # said once
        if news:
            return Verdict.WAIT
        if not state:
            return Verdict.GONE if now - since >= GONE_SECONDS else Verdict.WAIT
        if state in TAKEN_AWAY:
            return Verdict.REQUEUE
        doubtful = DOUBTFUL.fullmatch(reason) and now - since >= DOUBTFUL_SECONDS
        return Verdict.NEVER if pending and (doubtful or NEVER.fullmatch(reason)) else Verdict.WAIT
