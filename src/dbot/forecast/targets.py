"""The jobs behind the names that the workflow's targets have."""

from collections.abc import Callable
from itertools import chain

from dbot.base.errors import UserError
from dbot.params.rows import COLUMNS
from dbot.plan import Job, Plan


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
    }
    rows = {f"row_{row}": _row(plan, row) for row in plan.params.table_rows}
    columns = {f"column_{column}": (lambda column=column: plan.cells(columns=[column])) for column in COLUMNS}
    sweeps = {f"sweep_{sweep}": (lambda sweep=sweep: plan.sweep(sweep)) for sweep in plan.sweeps()}
    return {**whole, **rows, **columns, **sweeps}


def _row(plan: Plan, row: str) -> Callable[[], list[Job]]:
    return lambda: plan.cells([row])
