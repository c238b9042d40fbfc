"""File times, set by what the receipts say, so that Snakemake's plan is the judge's.

Snakemake goes by the times of files and by notes of its own. Neither survives a clone, a pull, a switch of branches or a
copy, and both are silent about a receipt that somebody has edited. So its notes are left out of the matter (`rerun-triggers:
mtime` in the profile), and every start of it sets the times: what holds becomes younger than what it was made from, and what
does not becomes as old as can be.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from dbot.lineage.judge import Judge
from dbot.plan import Job, Plan

OLDEST_NS = 1_000_000_000
"""A second after 1970 began. Snakemake takes 1970 itself for no time at all."""


def set_times(plan: Plan, judge: Judge, targets: Sequence[Job]) -> None:
    """Set the times of what some results, and all that is behind them, have left here.

    What is in order already is not touched.
    """
    to_do = {job.name for job in judge.to_do(plan, targets)}
    for job in plan.jobs(list(targets)):
        left = [path for path in outputs(job) if path.is_file()]
        if job.name in to_do:
            if job.receipt.is_file():
                _set(job.receipt, OLDEST_NS)
        elif left:
            # A receipt is written last: a file beside it that is younger was brought back, and is no news to those that read it.
            written, floor = _newest([job.receipt]), _newest(_inputs(plan, job)) or 0
            for path in left:
                time_ns = path.stat().st_mtime_ns
                if time_ns < floor or (written is not None and time_ns > max(written, floor)):
                    _set(path, max(written or 0, floor))


def outputs(job: Job) -> list[Path]:
    """The files that a job's rule is to make."""
    return [job.receipt, *(job.folder / name for name in job.artifacts)]


def _inputs(plan: Plan, job: Job) -> list[Path]:
    """The files by whose time its rule knows that it has to run again: what it reads, or its parameters where it reads nothing."""
    read = [path for role, needed in job.inputs.items() for path in (needed.receipt, *job.reads(role))]
    return read or plan.resolved.files


def _newest(paths: Sequence[Path]) -> int | None:
    return max((path.stat().st_mtime_ns for path in paths if path.is_file()), default=None)


def _set(path: Path, time_ns: int) -> None:
    os.utime(path, ns=(path.stat().st_atime_ns, time_ns))
