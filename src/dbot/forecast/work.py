"""The works of a plan's jobs: how many images each set has, and which jobs a target's name stands for."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain

from dbot.base.errors import UserError
from dbot.data.layouts.listing import PARTS, Part
from dbot.jobs.prepare import PREPARE
from dbot.jobs.work import Counts, Estimate, Work
from dbot.lineage import receipt as receipts
from dbot.params.rows import COLUMNS
from dbot.plan import Job, Plan


@dataclass(frozen=True)
class Works:
    """What each job of a plan has to do, as its kind estimates it."""

    plan: Plan
    aspect: float | None = None
    """Long over short side of all images. None: what is usual for each data set."""
    counts: Counts = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", counts(self.plan))

    def of(self, job: Job) -> Work:
        """What one job has to do."""
        return job.kind.work(Estimate(self.plan.params, self.counts, self.plan.resources(job), self.aspect), job)


def kinds(works: Works, jobs: Iterable[Job]) -> dict[str, Job]:
    """By kind of training, the first of some jobs that trains so."""
    found: dict[str, Job] = {}
    for job in jobs:
        if kind := works.of(job).kind:
            found.setdefault(kind, job)
    return found


def counts(plan: Plan) -> Counts:
    """What params.yaml expects of every data set or, where it expects nothing, what `dbot prepare` found."""
    return {(name, part): _count(plan, name, part) for name in plan.params.datasets for part in PARTS}


def _count(plan: Plan, name: str, part: Part) -> int | None:
    declared = plan.params.datasets[name]
    expected = getattr(declared, part).count if declared.embedded is None else declared.embedded.count(part)
    if expected is None:
        return _found(plan, name, part)
    return int(expected) if declared.limit is None else min(int(expected), declared.limit)


def _found(plan: Plan, name: str, part: Part) -> int | None:
    path = plan.job(PREPARE, name).receipt
    try:
        found = receipts.read(path).results.get(part) if path.exists() else None
    except UserError:
        return None
    return found if isinstance(found, int) else None


def jobs_of(plan: Plan, names: list[str]) -> list[Job]:
    """What some targets build: `all`, `table`, `row_B-B`, `column_det`, `sweep_teachers`, `probes`, …; no name: `all`.

    Raises:
        UserError: there is no such target.
    """
    known = targets(plan)
    for name in names:
        if name not in known:
            raise UserError(f"there is no target {name!r}; targets are: {', '.join(known)}")
    return list(chain.from_iterable(known[name]() for name in names or ["all"]))


def targets(plan: Plan) -> dict[str, Callable[[], list[Job]]]:
    """By the name of a target, the jobs that it asks for."""
    whole: dict[str, Callable[[], list[Job]]] = {
        "all": plan.targets,
        "table": plan.cells,
        "probes": plan.probes,
        "analyses": plan.analyses,
        "comparisons": plan.comparisons,
        "transfers": plan.transfers,
        "shifts": plan.shifts,
        "adaptations": plan.adaptations,
    }
    rows = {f"row_{row}": _row(plan, row) for row in plan.params.table_rows}
    columns = {f"column_{column}": (lambda column=column: plan.cells(columns=[column])) for column in COLUMNS}
    sweeps = {f"sweep_{sweep}": (lambda sweep=sweep: plan.sweep(sweep)) for sweep in plan.sweeps()}
    return {**whole, **rows, **columns, **sweeps}


def _row(plan: Plan, row: str) -> Callable[[], list[Job]]:
    return lambda: plan.cells([row])
