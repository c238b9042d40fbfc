"""From Snakemake's benchmark files to what the jobs of a rule should ask for."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

from dbot.base.errors import UserError
from dbot.lineage import receipt
from dbot.lineage.executions import executions_of
from dbot.plan import Job, Plan

LOGS = Path("logs")
SUFFIX = ".benchmark.tsv"
MEGABYTES_OF_A_GB = 1000
GRAIN_GB = 0.5
"""Suggested memory is a multiple of this."""


@dataclass(frozen=True)
class Benchmark:
    """What Snakemake saw of one job: of its last start, on the machine where its command ran."""

    job: Job
    seconds: float
    megabytes: float | None
    """Largest resident memory of all its processes together, or of its leading process where that was forked from one that stood
    by, and Snakemake saw nothing of it. None: it was too quick to be seen."""


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


def read(plan: Plan, jobs: Iterable[Job], folder: Path = LOGS) -> Iterator[Benchmark]:
    """The benchmarks of a plan's jobs, as far as they have run.

    Raises:
        UserError: a file is not what Snakemake writes.
    """
    for job in jobs:
        path = folder / plan.scale / f"{job.name}{SUFFIX}"
        if path.is_file():
            seen, own = _read(job, path), _own_megabytes(job)
            yield replace(seen, megabytes=max(filter(None, (seen.megabytes, own)), default=None))


def _own_megabytes(job: Job) -> float | None:
    """What a job's processes said of themselves in its executions; None where it has left none."""
    try:
        identity = receipt.read(job.receipt).id
        attempts = [attempt for execution in executions_of(job.receipt, identity) for attempt in execution.attempts]
    except UserError:
        return None
    return max((attempt.peak_mb for attempt in attempts if attempt.peak_mb is not None), default=None)


def _read(job: Job, path: Path) -> Benchmark:
    """The last line that holds something; a repeated benchmark has several."""
    try:
        with path.open(newline="") as lines:
            rows = list(csv.DictReader(lines, delimiter="\t"))
        # Snakemake writes NA for what it had no time to see.
        return Benchmark(job, max(float(row["s"]) for row in rows), max(_number(row["max_rss"]) or 0.0 for row in rows) or None)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path}: is not a benchmark file of Snakemake ({error}); delete it") from None


def _number(text: str) -> float | None:
    return None if text in ("NA", "-", "") else float(text)


def suggest(benchmarks: Iterable[Benchmark], memory_margin: float, time_margin: float) -> list[Suggestion]:
    """By rule and architecture, the largest of all jobs with a margin."""
    groups: dict[tuple[str, str], list[Benchmark]] = {}
    for one in benchmarks:
        groups.setdefault((one.job.verb, one.job.architecture), []).append(one)
    return [_suggestion(rule, size, group, memory_margin, time_margin) for (rule, size), group in groups.items()]


def _suggestion(rule: str, architecture: str, group: list[Benchmark], memory_margin: float, time_margin: float) -> Suggestion:
    seconds, sizes = max(one.seconds for one in group), [one.megabytes for one in group if one.megabytes is not None]
    megabytes = max(sizes) if sizes else None
    memory = None if megabytes is None else ceil(megabytes / MEGABYTES_OF_A_GB * memory_margin / GRAIN_GB) * GRAIN_GB
    return Suggestion(rule, architecture, len(group), seconds, megabytes, max(1, ceil(seconds / 60 * time_margin)), memory)


def yaml_text(plan: Plan, suggestions: list[Suggestion], margins: Mapping[str, float]) -> str:
    """Suggestions as an override of a scale, to be put into params.yaml by hand."""
    count = sum(one.count for one in suggestions)
    by = ", ".join(f"{name} x {margin:g}" for name, margin in margins.items())
    lines = [
        f"# From {count} benchmark files below {LOGS / plan.scale}; the largest that was seen, {by}.",
        "# A job that was interrupted counts with its last start; of several nodes the first was looked at.",
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
