"""Slurm, asked with patience: a busy controller answers late or not at all, and a container may lack its commands."""

import re
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime

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
