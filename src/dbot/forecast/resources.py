"""From what jobs have used, by their executions, to what the jobs of a rule should ask for."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil

from dbot.lineage import receipt
from dbot.lineage.executions import executions_of
from dbot.plan import Job, Plan

MEGABYTES_OF_A_GB = 1000
GRAIN_GB = 0.5
"""Suggested memory is a multiple of this."""


@dataclass(frozen=True)
class Used:
    """What a job used when it was done."""

    job: Job
    seconds: float
    """Of all its attempts together."""
    megabytes: float | None
    """Of the attempt that took most; None where no attempt said."""


@dataclass(frozen=True)
class Suggestion:
    """What the jobs of a rule and an architecture should ask for."""

    rule: str
    architecture: str
    count: int
    """Jobs that it rests on."""
    seconds: float
    """Of the longest of them."""
    megabytes: float | None
    """Of the largest."""
    minutes: int
    memory_gb: float | None


def read(jobs: Iterable[Job]) -> Iterator[Used]:
    """What jobs used, as far as they have been done; of a job that was done several times, each time.

    Raises:
        UserError: a receipt or an execution was changed.
    """
    for job in jobs:
        if job.receipt.is_file():
            for execution in executions_of(job.receipt, receipt.read(job.receipt).id):
                seen = [attempt.peak_mb for attempt in execution.attempts if attempt.peak_mb is not None]
                yield Used(job, sum(attempt.seconds for attempt in execution.attempts), max(seen, default=None))


def suggest(found: Iterable[Used], memory_margin: float, time_margin: float) -> list[Suggestion]:
    """By rule and architecture, the largest of all jobs with a margin."""
    groups: dict[tuple[str, str], list[Used]] = {}
    for one in found:
        groups.setdefault((one.job.verb, one.job.architecture), []).append(one)
    return [_suggestion(rule, size, group, memory_margin, time_margin) for (rule, size), group in groups.items()]


def _suggestion(rule: str, architecture: str, group: list[Used], memory_margin: float, time_margin: float) -> Suggestion:
    seconds, sizes = max(one.seconds for one in group), [one.megabytes for one in group if one.megabytes is not None]
    megabytes = max(sizes) if sizes else None
    memory = None if megabytes is None else ceil(megabytes / MEGABYTES_OF_A_GB * memory_margin / GRAIN_GB) * GRAIN_GB
    return Suggestion(rule, architecture, len(group), seconds, megabytes, max(1, ceil(seconds / 60 * time_margin)), memory)


def yaml_text(plan: Plan, suggestions: list[Suggestion], margins: Mapping[str, float]) -> str:
    """Suggestions as an override of a scale, to be put into params.yaml by hand."""
    count = sum(one.count for one in suggestions)
    by = ", ".join(f"{name} x {margin:g}" for name, margin in margins.items())
    lines = [
        f"# From {count} executions at scale {plan.scale}; the largest that was seen, {by}.",
        "# A job that was interrupted counts with all its attempts; of several nodes the first was looked at.",
        "scales:",
        f"  {plan.scale}:",
        "    overrides:",
        "      resources:",
    ]
    for rule in dict.fromkeys(one.rule for one in suggestions):
        lines.append(f"        {rule}:")
        for one in (each for each in suggestions if each.rule == rule):
            asked = [f"minutes: {one.minutes}"] if one.memory_gb is None else [f"memory_gb: {one.memory_gb:g}", f"minutes: {one.minutes}"]
            seen = "memory not seen" if one.megabytes is None else f"{one.megabytes / MEGABYTES_OF_A_GB:.2f} GB"
            jobs = f"{one.count} job{'s' * (one.count > 1)}"
            lines.append(f"          {one.architecture}: {{{', '.join(asked)}}} # {jobs}: up to {seen}, {one.seconds:.0f} s")
    return "\n".join(lines) + "\n"
