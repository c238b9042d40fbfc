"""The table: what was measured here, beside what was published, never in its place.

Measured numbers come out of receipts only, published ones out of params.yaml only, and each has
its own field from here to the page.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from dbot.base.errors import UserError
from dbot.jobs.fetch import FETCH
from dbot.lineage.judge import Judge, Standing, State, spent
from dbot.lineage.receipt import Receipt
from dbot.params.document import Params
from dbot.params.rows import COLUMNS, Column, Row
from dbot.plan import Plan

RESULT: Mapping[Column, str] = {"cls": "top1", "det": "box_ap", "seg": "miou"}
"""By column, the finding of its evaluation that fills the cell, in %."""

FURTHER: Mapping[Column, Mapping[str, str]] = {
    "cls": {},
    "det": {
        "box_ap50": "box AP50",
        "box_ap75": "box AP75",
        "box_ap_small": "box AP small",
        "box_ap_medium": "box AP medium",
        "box_ap_large": "box AP large",
        "mask_ap": "mask AP",
        "mask_ap50": "mask AP50",
        "mask_ap75": "mask AP75",
        "mask_ap_small": "mask AP small",
        "mask_ap_medium": "mask AP medium",
        "mask_ap_large": "mask AP large",
    },
    "seg": {"macc": "mAcc", "aacc": "aAcc"},
}
"""By column, further findings of its evaluation, in %, and how they are called."""

PUBLISHED_ON: Mapping[Column, str] = {"cls": "imagenet-1k", "det": "coco-2017", "seg": "ade20k"}
"""By column, the data set that the published numbers were measured on."""

CPU = "cpu"


@dataclass(frozen=True)
class Seed:
    """A cell's measurement with one seed of fine-tuning."""

    seed: int
    state: State
    reason: str
    found: Standing | None
    """None: the column can't be measured yet."""
    value: float | None
    """In %; None unless the evaluation is done and sound."""


@dataclass(frozen=True)
class Cell:
    """One column of one row."""

    row: str
    column: Column
    seeds: tuple[Seed, ...]
    """Empty where the row has no such column."""
    published: float | None
    comparable: bool
    """Whether the column is measured on the data set of the published numbers, all of it, masks included."""
    tolerance: float = 0.0
    """The difference from the published number, in points, up to which that is reproduced."""
    released: bool = False
    """Whether it starts from weights that others released, and not from a training of ours alone."""

    @property
    def boxes_only(self) -> bool:
        """Whether its number is that of a detector without mask heads."""
        return any(found.receipt is not None and found.receipt.settings.get("masks") == "none" for found in self.findings)

    @property
    def notes(self) -> list[str]:
        """What has to be said beside its number."""
        return ["released weights"] * self.released + ["boxes only"] * self.boxes_only

    @property
    def exists(self) -> bool:
        return bool(self.seeds)

    @property
    def values(self) -> list[float]:
        return [seed.value for seed in self.seeds if seed.value is not None]

    @property
    def measured(self) -> float | None:
        """Mean over the seeds that are measured, in %."""
        return statistics.fmean(self.values) if self.values else None

    def further(self, name: str) -> float | None:
        """Mean of another finding over the seeds that are measured, in %; None where a set has nothing that it speaks of."""
        found = [
            seed.found.receipt.results.get(name) for seed in self.seeds if seed.value is not None and seed.found and seed.found.receipt
        ]
        values = [float(value) for value in found if isinstance(value, int | float)]
        return statistics.fmean(values) if values else None

    @property
    def sd(self) -> float | None:
        """Sample standard deviation over the seeds, in points; None for fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def difference(self) -> float | None:
        """Measured less published, in points; None unless both were measured on the same data."""
        if self.measured is None or self.published is None or not self.comparable:
            return None
        return self.measured - self.published

    @property
    def reproduced(self) -> bool | None:
        """Whether the published number is, within the tolerance; None unless both were measured on the same data."""
        # Numbers with a few digits after the point differ by their binary forms too.
        return None if self.difference is None else abs(self.difference) <= self.tolerance + 1e-9

    @property
    def images(self) -> int | None:
        """How many images it was measured on, by the receipt of the prepared data; None unless it is measured."""
        data = next((found.inputs["data"].receipt for found in self.findings if "data" in found.inputs), None)
        count = data.results.get("validation") if data is not None else None
        return count if isinstance(count, int) else None

    @property
    def state(self) -> State:
        """The worst of the seeds that keep the cell from being measured; done as soon as one is."""
        if self.values:
            return State.BUILT
        order = list(State)
        return max((seed.state for seed in self.seeds), key=order.index, default=State.NOT_RUN)

    @property
    def status(self) -> str:
        """``measured``, ``not run``, ``stale``, ``broken``, or – where the row has no such column."""
        if not self.exists:
            return "–"
        if not self.values:
            return str(self.state)
        missing = [f"seed {seed.seed} {seed.state}" for seed in self.seeds if seed.value is None]
        measured = "measured from released weights" if self.released else "measured"
        measured += ", boxes only" if self.boxes_only else ""
        return measured if self.complete else f"{measured} ({len(self.values)} of {len(self.seeds)} seeds: {', '.join(missing)})"

    @property
    def complete(self) -> bool:
        """Whether every seed is measured."""
        return self.exists and len(self.values) == len(self.seeds)

    @property
    def reasons(self) -> list[str]:
        """Why seeds are not measured, each reason once."""
        return list(dict.fromkeys(seed.reason for seed in self.seeds if seed.value is None))

    @property
    def findings(self) -> list[Standing]:
        """The evaluations that the measured number stands on."""
        return [seed.found for seed in self.seeds if seed.found is not None and seed.value is not None]

    @property
    def receipts(self) -> list[Receipt]:
        """The receipts of the cell's evaluations, current or not."""
        return [seed.found.receipt for seed in self.seeds if seed.found is not None and seed.found.receipt is not None]


@dataclass(frozen=True)
class Line:
    """A row of the table."""

    name: str
    declared: Row
    architecture: str
    """Title of the student's architecture, with the image size where it isn't that of pre-training."""
    asymmetric: str
    """Whether the student is of the asymmetric design, as the published table says it; a dash where nothing was pre-trained."""
    cells: Mapping[Column, Cell]
    control: Mapping[Column, Cell]
    """By column, the cell that it is compared with; that of another control where the number is another row's."""
    hours: Mapping[str, float]
    """By kind of device, over the lineages of the measured cells, each job counted once."""
    data: Mapping[str, str]
    """By purpose, the data set that serves it."""
    first_teacher: str | None
    """Name of the teacher with which its distillation began; None: there was none, or the weights are released ones."""

    @property
    def cpu_hours(self) -> float | None:
        return self.hours.get(CPU)

    @property
    def gpu_hours(self) -> float | None:
        found = [hours for device, hours in self.hours.items() if device != CPU]
        return sum(found) if found else None

    def margin(self, column: Column) -> float | None:
        """Measured, less the control's, in points."""
        ours = self.cells[column].measured
        theirs = self.control[column].measured if column in self.control else None
        return None if ours is None or theirs is None else ours - theirs


@dataclass(frozen=True)
class Table:
    """The rows at one scale: the published ones in order, others that params.yaml declares, the controls."""

    plan: Plan
    published: tuple[Line, ...]
    own: tuple[Line, ...]
    controls: tuple[Line, ...]

    @property
    def own_shown(self) -> tuple[Line, ...]:
        """Rows of our own, but not those that only lend a column to another row, where it is shown."""
        lent = {(other, column) for line in self.lines for column, other in line.declared.columns_from.items()}
        lenders = {name for name, _ in lent}
        return tuple(
            line
            for line in self.own
            if line.name not in lenders or any(cell.values and (line.name, column) not in lent for column, cell in line.cells.items())
        )

    @property
    def scale(self) -> str:
        return self.plan.scale

    @property
    def params(self) -> Params:
        return self.plan.resolved.params

    @property
    def lines(self) -> tuple[Line, ...]:
        return (*self.published, *self.own, *self.controls)

    @cached_property
    def cells(self) -> list[Cell]:
        """Every cell of every row, those that a row doesn't have left out."""
        return [cell for line in self.lines for cell in line.cells.values() if cell.exists]

    @property
    def comparable(self) -> bool:
        """Whether any column is measured on the data of the published numbers."""
        return any(cell.comparable for cell in self.cells)

    @property
    def commits(self) -> list[str]:
        """The commits that the measured cells' lineages ran at, and whether with changes, in order of name."""
        names = set()
        for start in (found for cell in self.cells for found in cell.findings):
            for found in start.lineage():
                if (execution := found.execution) is not None:
                    commit = execution.commit[:12] if execution.commit else "no git"
                    names.add(f"{commit} with changes" if execution.changes else commit)
        return sorted(names)


def in_full(lines: Sequence[Line], column: Column) -> tuple[list[Line], list[str]]:
    """The rows whose cell of a column is measured, and the further findings that any of them has."""
    measured = [line for line in lines if line.cells[column].measured is not None]
    return measured, [name for name in FURTHER[column] if any(line.cells[column].further(name) is not None for line in measured)]


@dataclass(frozen=True)
class Group:
    """What some rows have to show in one column of the table."""

    column: Column
    published: bool
    difference: bool
    controlled: bool

    @property
    def width(self) -> int:
        """How many columns of text that makes: measured always, control and margin together."""
        return 1 + self.published + self.difference + 2 * self.controlled


def groups(lines: Sequence[Line]) -> list[Group]:
    """The columns that any of the rows has, and what there is to show in each."""
    found = []
    for column in COLUMNS:
        cells = [line.cells[column] for line in lines if line.cells[column].exists]
        published = any(cell.published is not None for cell in cells)
        controlled = any(column in line.control and line.control[column].exists for line in lines)
        if cells:
            found.append(Group(column, published, published and any(cell.comparable for cell in cells), controlled))
    return found


def build(plan: Plan, judge: Judge) -> Table:
    """The table of a scale as the receipts now have it."""
    params = plan.resolved.params
    rows = {name: params.rows[name] for name in params.table_rows}
    cells = {name: {column: cell_of(plan, judge, name, column) for column in COLUMNS} for name in rows}
    lines = [_line(plan.resolved.params, name, cells) for name in rows]
    controls = {row.control for row in rows.values()}
    return Table(
        plan,
        published=tuple(line for line in lines if line.declared.published is not None),
        own=tuple(line for line in lines if line.declared.published is None and line.name not in controls),
        controls=tuple(line for line in lines if line.declared.published is None and line.name in controls),
    )


def _line(params: Params, name: str, cells: Mapping[str, Mapping[Column, Cell]]) -> Line:
    row, own = params.rows[name], cells[name]
    architecture = params.architectures[row.architecture]
    recipe = params.recipes.finetune[row.recipe]
    size = recipe.image_size
    uses = params.uses.model_dump()
    first = row
    while first.finetuned_from is not None:
        first = params.rows[first.finetuned_from]
    purposes = [*(["pretrain"] if first.teacher else []), *(column for column in COLUMNS if own[column].exists)]
    return Line(
        name=name,
        declared=row,
        architecture=architecture.title if size in (None, architecture.image_size) else f"{architecture.title} @{size}",
        asymmetric="–" if first.from_scratch else "yes" if recipe.design == "asymmetric" else "no",
        cells=own,
        control={column: cells[other][column] for column in COLUMNS if (other := params.control(name, column)) is not None},
        hours=spent(found for cell in own.values() for found in cell.findings),
        data={purpose: uses[purpose] for purpose in purposes},
        first_teacher=first.teacher,
    )


def cell_of(plan: Plan, judge: Judge, name: str, column: Column) -> Cell:
    """The cell of a row as the receipts now have it."""
    params = plan.resolved.params
    row = params.rows[name]
    used = getattr(params.uses, column)
    declared = params.datasets[used]
    seeds = tuple(_seed(plan, judge, name, column, seed) for seed in params.build.seeds) if column in params.columns(name) else ()
    return Cell(
        row=name,
        column=column,
        seeds=seeds,
        published=getattr(row.published, column) if row.published else None,
        comparable=used == PUBLISHED_ON[column] and declared.limit is None and not declared.boxes_only,
        tolerance=getattr(params.tolerance, column),
        released=any(job.kind is FETCH for seed in seeds if seed.found is not None for job in seed.found.job.ancestors()),
    )


def _seed(plan: Plan, judge: Judge, name: str, column: Column, seed: int) -> Seed:
    try:
        job = plan.evaluate(name, column, seed)
    except UserError as error:
        return Seed(seed, State.NOT_RUN, str(error), None, None)
    found = judge.of(job)
    if found.receipt is None or not found.state.holds:
        return Seed(seed, found.state, found.reason, found, None)
    value = percentage(found.receipt, RESULT[column])
    if value is None:
        return Seed(seed, State.BROKEN, f"{found.path}: holds no {RESULT[column]} between 0 and 100", found, None)
    return Seed(seed, State.BUILT, "", found, value)


def percentage(receipt: Receipt, name: str) -> float | None:
    """A finding in %; None if the receipt holds none between 0 and 100."""
    value = receipt.results.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) and 0 <= value <= 100 else None
