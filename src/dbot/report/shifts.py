"""The table of classifiers on sets that are shifted from their own, beside their accuracy there and what they cost."""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from dbot.jobs.shift import of_set
from dbot.lineage.judge import Judge, State
from dbot.plan import Plan
from dbot.report.charts import Chart, Curve, Tick, chart
from dbot.report.table import Cell, Seed, Table
from dbot.report.transfers import Transferred

SHOWN = {"accuracy": "top1", "real": "top1", "corruptions": "mce"}
"""By score of a set, the finding that fills its cells, in %."""
MILLION = 1e6


@dataclass(frozen=True)
class Cost:
    """What a classifier costs, as its evaluation found it."""

    parameters: float
    """In millions."""
    gflops: float
    """10⁹ floating-point operations of the forward pass of an image."""
    images_per_second: float | None
    """Forward passes alone, on that device. None: the execution doesn't say."""
    device: str


@dataclass(frozen=True)
class Line:
    """A row of the table."""

    row: str
    title: str
    """What its student was distilled from."""
    own: Cell
    """Column cls."""
    cells: Mapping[str, Transferred]
    """By set."""
    cost: Cost | None
    """None: its evaluation has not run, or said nothing of it."""
    asked: bool
    """Whether a bare `snakemake` or `snakemake shifts` runs it."""
    is_control: bool
    """Whether it is fine-tuned from random weights."""

    @property
    def shown(self) -> bool:
        """Whether somebody asked for it, or anything of it ran."""
        ran = any(seed.found is not None and seed.found.receipt is not None for cell in self.cells.values() for seed in cell.seeds)
        return self.asked or ran or self.cost is not None


@dataclass(frozen=True)
class Shifts:
    """All rows of a scale."""

    sets: Mapping[str, str]
    """Title by set, in the order of the columns; with the measure, where that isn't accuracy."""
    lines: tuple[Line, ...]

    @property
    def shown(self) -> list[Line]:
        """The rows that somebody asked for, or of which anything ran."""
        return [line for line in self.lines if line.shown]

    @property
    def idle(self) -> list[str]:
        """The rows of which nothing ran that was not asked for."""
        return [line.row for line in self.lines if not line.asked and all(not cell.values for cell in line.cells.values())]


def build(plan: Plan, judge: Judge, table: Table) -> Shifts:
    """The shifted sets of a scale as the receipts now have them."""
    params = plan.resolved.params
    asked = {job.key["row"] for job in plan.shifts()} if "shifts" in params.build.evidence else set()
    lines: list[Line] = []
    controls = {line.name for line in table.controls}
    for line in table.lines:
        if "cls" in line.declared.columns_from:
            continue
        cells = {
            dataset: Transferred(tuple(_seed(plan, judge, line.name, dataset, seed) for seed in params.build.seeds))
            for dataset in params.shift.sets
        }
        own = line.cells["cls"]
        lines.append(Line(line.name, line.declared.title, own, cells, _cost(own), line.name in asked, line.name in controls))
    return Shifts({name: title(plan, name) for name in params.shift.sets}, tuple(lines))


def by_cost(shifts: Shifts) -> Chart | None:
    """Accuracy on the own set by the operations of an image, a point a row, on a logarithmic axis. None: nothing is known."""
    known = [
        (line, line.cost.gflops, line.own.measured) for line in shifts.shown if line.cost is not None and line.own.measured is not None
    ]
    known = [(line, gflops, top1) for line, gflops, top1 in known if gflops > 0]
    points = [Curve(line.row, line.is_control, ((math.log10(gflops), top1),)) for line, gflops, top1 in known]
    made = chart("Top-1 in % by operations of an image", points)
    if made is None:
        return None
    ends = dict.fromkeys((min(gflops for _, gflops, _ in known), max(gflops for _, gflops, _ in known)))
    across = tuple(Tick(tick.at, f"{gflops:.3g}") for tick, gflops in zip(made.across, ends, strict=False))
    said = "; ".join(f"{line.row} {top1:.1f} % at {gflops:.3g} GFLOPs" for line, gflops, top1 in known)
    return replace(made, axis="GFLOPs", description=f"{made.title}: {said}", across=across)


def title(plan: Plan, dataset: str) -> str:
    """What a set's column is called."""
    declared = of_set(plan, dataset)
    called = declared.title or plan.params.datasets[dataset].title
    return f"{called}, mCE" if declared.score == "corruptions" else called


def _seed(plan: Plan, judge: Judge, row: str, dataset: str, seed: int) -> Seed:
    found = judge.of(plan.shift(row, dataset, seed))
    if found.receipt is None or not found.state.holds:
        return Seed(seed, found.state, found.reason, found, None)
    name = SHOWN[of_set(plan, dataset).score]
    value = found.receipt.results.get(name)
    if not isinstance(value, int | float) or not (math.isfinite(value) and value >= 0):
        return Seed(seed, State.BROKEN, f"{found.path}: holds no {name} from 0 on", found, None)
    return Seed(seed, State.BUILT, "", found, float(value))


def _cost(cell: Cell) -> Cost | None:
    """Of a cell's first seed that says it."""
    for found in cell.findings:
        results = {} if found.receipt is None else found.receipt.results
        parameters, gflops = results.get("parameters"), results.get("gflops")
        if found.receipt is not None and isinstance(parameters, int | float) and isinstance(gflops, int | float):
            speed = None if found.execution is None else found.execution.images_per_second
            return Cost(parameters / MILLION, float(gflops), speed, found.receipt.device)
    return None


def csv_text(plan: Plan, shifts: Shifts) -> str:
    """One line a row and set, in the table's order; accuracies and corruption errors in %, empty where there is none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    more = ["top1", "top5", "ece", "brier", "images"]
    cost = ["parameters_million", "gflops", "images_per_second", "device"]
    writer.writerow(["row", "dataset", "measure", "value", "sd", "seeds", *more, "own_top1", *cost, "status", "receipt", "scale"])
    for line in shifts.lines:
        for dataset, cell in line.cells.items():
            results = cell.found.receipt.results if cell.values and cell.found.receipt is not None else {}
            further = [_plain(results.get(name), 4 if name == "brier" else 2) for name in more[:-1]]
            images = results.get("images")
            receipts = [seed.found.receipt.id[:12] for seed in cell.seeds if seed.found is not None and seed.found.receipt is not None]
            writer.writerow(
                [
                    *(line.row, dataset, SHOWN[of_set(plan, dataset).score], _plain(cell.measured), _plain(cell.sd)),
                    *(len(cell.values) or "", *further, f"{images:.0f}" if isinstance(images, int | float) else ""),
                    *(_plain(line.own.measured), *_costs(line.cost)),
                    *("measured" if cell.values else cell.found.state, " ".join(receipts), plan.scale),
                ]
            )
    return out.getvalue()


def _costs(cost: Cost | None) -> list[str]:
    if cost is None:
        return ["", "", "", ""]
    speed = "" if cost.images_per_second is None else f"{cost.images_per_second:.1f}"
    return [f"{cost.parameters:.4f}", f"{cost.gflops:.4f}", speed, cost.device]


def _plain(value: object, digits: int = 2) -> str:
    return f"{value:.{digits}f}" if isinstance(value, int | float) else ""
