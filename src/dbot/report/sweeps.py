"""Sweeps: what varying a row does, cell by cell, with mean and deviation over the variants for each number of stages."""

import csv
import io
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dbot.lineage.judge import Judge
from dbot.params.rows import Column
from dbot.params.sweeps import Sweep, row_name
from dbot.plan import Plan
from dbot.report.table import Cell, cell_of
from dbot.report.words import HEADS

Place = tuple[str, int, Column]
"""Variant, number of stages, column."""


@dataclass(frozen=True)
class Swept:
    """A sweep as the receipts now have it."""

    name: str
    declared: Sweep
    cells: Mapping[Place, Cell]
    """Those that can be measured; a teacher that is no student of ours has none at stage 0."""

    @property
    def ran(self) -> bool:
        """Whether anything of it ran."""
        return any(cell.receipts for cell in self.cells.values())

    def measured(self, variant: str, stages: int, column: Column) -> float | None:
        """In %."""
        cell = self.cells.get((variant, stages, column))
        return cell.measured if cell is not None else None

    def over_variants(self, stages: int, column: Column) -> tuple[float | None, float | None]:
        """Mean in % and sample standard deviation in points; None while a variant is missing, and for a deviation of one."""
        means = [self.measured(variant.name, stages, column) for variant in self.declared.variants]
        found = [mean for mean in means if mean is not None]
        if len(found) < len(means):
            return None, None
        return statistics.fmean(found), statistics.stdev(found) if len(found) > 1 else None

    def published(self, variant: str, stages: int, column: Column) -> float | None:
        """A published number, in %."""
        cells = self.declared.published.cells if self.declared.published else []
        return next((c.value for c in cells if (c.variant, c.stages, c.column) == (variant, stages, column)), None)

    def published_deviation(self, stages: int, column: Column) -> float | None:
        """A published deviation over variants, in points."""
        found = self.declared.published.deviations if self.declared.published else []
        return next((d.value for d in found if (d.stages, d.column) == (stages, column)), None)


def build(plan: Plan, judge: Judge, name: str) -> Swept:
    """A sweep of a scale."""
    sweep, params = plan.params.sweeps[name], plan.params
    cells: dict[Place, Cell] = {}
    for variant in sweep.variants:
        for stages in sweep.stages:
            row = row_name(name, variant.name, stages)
            for column in sweep.columns:
                if row in params.rows and column in params.columns(row):
                    cells[variant.name, stages, column] = cell_of(plan, judge, row, column)
    return Swept(name, sweep, cells)


def build_all(plan: Plan, judge: Judge) -> list[Swept]:
    """All sweeps of a scale."""
    return [build(plan, judge, name) for name in plan.params.sweeps]


def csv_text(swept: Swept, scale: str) -> str:
    """A line a cell, then a line for each column and number of stages with mean and deviation over the variants.

    Numbers in %, deviations in points; empty where there is none.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["variant", "stages", "column", "measured", "sd", "published", "published_sd", "status", "row", "receipt", "scale"])
    writer.writerows([*line, scale] for line in _lines(swept))
    return out.getvalue()


def _lines(swept: Swept) -> Iterator[list[str]]:
    for (variant, stages, column), cell in swept.cells.items():
        receipts = " ".join(receipt.id[:12] for receipt in cell.receipts)
        theirs = swept.published(variant, stages, column)
        yield [variant, str(stages), column, _plain(cell.measured), _plain(cell.sd), _plain(theirs), "", cell.status, cell.row, receipts]
    for column in swept.declared.columns:
        for stages in swept.declared.stages:
            mean, deviation = swept.over_variants(stages, column)
            theirs = swept.published_deviation(stages, column)
            yield ["all variants", str(stages), column, _plain(mean), _plain(deviation), "", _plain(theirs), "", "", ""]


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


PANEL = (3.2, 2.4)
"""Width and height of a panel in inches."""


def draw(swept: Swept, stem: Path) -> list[Path]:
    """Write stem.svg and stem.png; the same numbers give the same bytes.

    Where only one number of stages is swept, variants stand side by side instead.
    """
    from matplotlib.ticker import MaxNLocator

    from dbot.measure.plots import drawn

    sweep = swept.declared
    with drawn(stem, (PANEL[0] * len(sweep.columns), PANEL[1])) as figure:
        for axes, column in zip(figure.subplots(1, len(sweep.columns), squeeze=False)[0], sweep.columns, strict=True):
            axes.set_ylabel(f"{HEADS[column]} in %")
            if len(sweep.stages) > 1:
                for variant in sweep.variants:
                    found = [(stages, swept.measured(variant.name, stages, column)) for stages in sweep.stages]
                    points = [(stages, value) for stages, value in found if value is not None]
                    axes.plot([x for x, _ in points], [y for _, y in points], marker="o", markersize=3, label=variant.title)
                axes.set_xlabel("stages of distillation")
                axes.xaxis.set_major_locator(MaxNLocator(integer=True))
                axes.legend()
            else:
                values = [swept.measured(variant.name, sweep.stages[0], column) for variant in sweep.variants]
                known = [(variant.title, value) for variant, value in zip(sweep.variants, values, strict=True) if value is not None]
                axes.plot([value for _, value in known], [title for title, _ in known], linestyle="none", marker="o")
                axes.set_ylabel("")
                axes.set_xlabel(f"{HEADS[column]} in %, {sweep.stages[0]} stages")
    return [stem.with_name(f"{stem.name}{suffix}") for suffix in (".svg", ".png")]
