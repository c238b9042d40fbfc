"""Slurm, asked with patience: a busy controller answers late, a container may lack its commands; and how long to wait for a job."""

import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

TRIES = 4
PAUSE_SECONDS = 3.0
TIMEOUT_SECONDS = 30.0


def ask(*command: str, tries: int = TRIES, timeout: float = TIMEOUT_SECONDS) -> str | None:
    """What a command of Slurm's prints; None where it isn't there, or gives no answer after some tries."""
    for attempt in range(tries):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        except FileNotFoundError:
            return None
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip()
    return None


def run(*command: str, timeout: float = TIMEOUT_SECONDS) -> str | None:
    """Have a command of Slurm's do something; None if it did, or what it said instead."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else done.stderr.strip() or f"status {done.returncode}"


def fields(text: str) -> dict[str, str]:
    """``KEY=VALUE`` pairs of `scontrol show`, whose values hold no blanks but in the last of a line."""
    return dict(re.findall(r"(\w+)=(\S*)", text))


@dataclass(frozen=True)
class Allocation:
    """A job of Slurm's, as far as it answered."""

    number: str
    end: float | None
    """When its time is over, in seconds since 1970; None where Slurm knows of no end, or gave no answer."""
    nodes: str | None
    """Its nodes, in Slurm's notation: ``n[3-4]``."""
    preempted: bool
    """Slurm takes it, as it has run since its last start, away for another job."""


def allocation(number: str) -> Allocation:
    """Ask for a job by its number; without an answer nothing is known of it."""
    said = ask("scontrol", "show", "job", number)
    if said is not None:
        found = fields(said)
        # Slurm 24.11 goes on to name the time of a preemption after the job was requeued, and has started again.
        taken, began = _moment(found.get("PreemptTime", "")), _moment(found.get("StartTime", ""))
        preempted = taken is not None and (began is None or taken >= began)
        return Allocation(number, _moment(found.get("EndTime", "")), found.get("NodeList"), preempted)
    said = ask("squeue", "--noheader", "--jobs", number, "--format", "%e|%N")
    end, _, nodes = (said or "").partition("|")
    return Allocation(number, _moment(end), nodes or None, preempted=False)


def _moment(text: str) -> float | None:
    """Slurm's local time as seconds since 1970; None for `Unknown`, `N/A`, `NONE` and the like."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


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
