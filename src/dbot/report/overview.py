"""The figure above the table: every cell against its control, a panel a column, and the pictures of what the method does.

Drawn by the page itself, as its other charts are: it follows the page's colours, and the same receipts give the same bytes.
"""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dbot.base.errors import UserError
from dbot.jobs.distill import DISTILL, METHOD
from dbot.lineage import receipt as receipts
from dbot.lineage.judge import Judge
from dbot.params.rows import COLUMNS, Column
from dbot.params.teachers import RandomTeacher
from dbot.plan import Plan
from dbot.report import words
from dbot.report.charts import Tick, ticks
from dbot.report.table import Cell, Line, Table

WIDTH = 372
"""Of a panel, in its own units: about as many pixels on a desk and on a phone."""
LETTER, LONGEST = 6.6, 20
"""Width of a letter of a row's name, about, and how many are shown."""
RIGHT = 108
"""Room for margins and published numbers."""
HEAD, STEP, FOOT = 26, 22, 24
"""Heights of the heads, of a row, and of the axis."""

LOSSES = {"smooth_l1": "smooth L1", "l1": "L1", "l2": "L2", "negative_cosine": "negative cosine"}
"""What the distances between tokens are called."""


@dataclass(frozen=True)
class Mark:
    """A measured number in a panel's units: its mean, and one standard deviation to either side where there are seeds to spread."""

    at: float
    low: float
    high: float

    @property
    def spread(self) -> bool:
        return self.high > self.low


@dataclass(frozen=True)
class Bar:
    """One row: a number, its control's, and what was published."""

    row: str
    y: float
    measured: Mark | None
    control: Mark | None
    margin: float | None
    """Measured less control, in points."""
    published: float | None
    """In %, as text: other data."""
    published_at: float | None
    """Its place on the axis; None unless it was measured on the same data."""
    status: str
    """What there is instead of a measured number."""
    said: str
    """The row in words."""


@dataclass(frozen=True)
class Panel:
    """One column of the table."""

    column: Column
    title: str
    data: str
    """Title of the data set."""
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    left: float
    """Where the names of rows end."""
    height: float
    published: bool
    description: str
    """All of it in words, for those who can't see it."""


def panels(table: Table) -> list[Panel]:
    """A panel for each column that the table has: the published rows, then our own of which something was measured."""
    own = [line for line in table.own_shown if any(cell.values for cell in line.cells.values())]
    found = []
    for column in COLUMNS:
        lines = [line for line in (*table.published, *own) if line.cells[column].exists]
        lines = [line for line in lines if line.declared.published is not None or line.cells[column].values]
        if lines:
            found.append(_panel(table, column, lines))
    return found


def _panel(table: Table, column: Column, lines: Sequence[Line]) -> Panel:
    left = round(LETTER * max(len(_shown(line.name)) for line in lines) + 16, 1)
    values = [value for line in lines for value in _values(line, column)]
    marks = ticks(min(values), max(values)) if values else []

    def x(value: float) -> float:
        return round(left + (WIDTH - left - RIGHT) * (value - marks[0]) / (marks[-1] - marks[0]), 1)

    def mark(cell: Cell | None) -> Mark | None:
        if cell is None or cell.measured is None:
            return None
        sd = cell.sd or 0.0
        return Mark(x(cell.measured), x(cell.measured - sd), x(cell.measured + sd))

    bars = []
    for number, line in enumerate(lines):
        cell = line.cells[column]
        bars.append(
            Bar(
                row=_shown(line.name),
                y=HEAD + STEP * (number + 0.5),
                measured=mark(cell),
                control=mark(line.control.get(column)),
                margin=line.margin(column),
                published=cell.published,
                published_at=x(cell.published) if cell.comparable and cell.published is not None and marks else None,
                status="" if cell.values else cell.status,
                said=_said(line, column),
            )
        )
    title = words.COLUMN_TITLES[column]
    return Panel(
        column=column,
        title=title,
        data=table.params.datasets[getattr(table.params.uses, column)].title,
        bars=tuple(bars),
        ticks=tuple(Tick(x(value), f"{value:g}") for value in marks),
        left=left,
        height=HEAD + STEP * len(lines) + FOOT,
        published=any(bar.published is not None for bar in bars),
        description=f"{title}, measured against control: {'; '.join(bar.said for bar in bars)}",
    )


def _shown(name: str) -> str:
    """A row's name, its end left out where it is long."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _values(line: Line, column: Column) -> Iterator[float]:
    """The numbers that an axis has to hold."""
    cell = line.cells[column]
    for one in (cell, line.control.get(column)):
        if one is not None and one.measured is not None:
            sd = one.sd or 0.0
            yield from (one.measured - sd, one.measured + sd)
    if cell.comparable and cell.published is not None:
        yield cell.published


def _said(line: Line, column: Column) -> str:
    cell, control = line.cells[column], line.control.get(column)
    said = f"{line.name} {words.measured(cell.measured, cell.sd) or cell.status}"
    if control is not None and control.measured is not None:
        said += f", control {control.row} {words.measured(control.measured, control.sd)}"
    if cell.published is not None:
        said += f", published {words.number(cell.published)}"
    return said


@dataclass(frozen=True)
class MethodPicture:
    """What a stage of a row did with one image."""

    row: str
    stage: int
    title: str
    """Whose tokens the student regressed."""
    loss: str
    """Kind of the distance between tokens."""
    png: str
    """In base64."""


def method_pictures(table: Table, judge: Judge) -> tuple[list[MethodPicture], list[str]]:
    """The pictures of the last stage of each row that left one, in the table's order, and what is wrong with others.

    Trainings from before there were pictures have none.
    """
    pictures, problems = [], list[str]()
    for line in (*table.published, *table.own):
        if line.declared.chain is not None:
            continue
        for stage in range(line.declared.last_stage, 0, -1):
            found = judge.of(table.plan.distill(line.name, stage))
            recorded = found.receipt.artifacts.get(METHOD) if found.receipt is not None and found.state.holds else None
            if recorded is None or not (found.path.parent / METHOD).is_file():
                continue
            try:
                content = receipts.verified(found.path.parent, METHOD, recorded).read_bytes()
            except UserError as error:
                problems.append(str(error))
                continue
            loss = table.params.recipes.pretrain[line.declared.recipe].loss.kind
            taught = _taught_by(table.plan, line, stage)
            pictures.append(MethodPicture(line.name, stage, taught, LOSSES[loss], base64.b64encode(content).decode()))
            break
    return pictures, problems


def _taught_by(plan: Plan, line: Line, stage: int) -> str:
    if stage > 1:
        return f"its student of stage {stage - 1}"
    needed = plan.distill(line.name, stage).inputs.get("teacher")
    if needed is not None and needed.kind is DISTILL:
        return f"the student of row {needed.key['row']}, stage {needed.key['stage']}"
    declared = plan.params.teacher_of(line.declared)
    if isinstance(declared, RandomTeacher):
        return "a network that was never trained"
    return f"teacher {line.declared.teacher}" + (f" ({declared.note})" if declared.note else "")
