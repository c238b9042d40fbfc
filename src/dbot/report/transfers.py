"""The table of transfers: students fine-tuned on sets that their pre-training has not seen, beside the same from random weights."""

import csv
import io
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from dbot.lineage.judge import Judge, Standing, State
from dbot.plan import Plan
from dbot.report.table import Seed, percentage


@dataclass(frozen=True)
class Transferred:
    """One row on one set, over the seeds."""

    seeds: tuple[Seed, ...]

    @property
    def values(self) -> list[float]:
        return [seed.value for seed in self.seeds if seed.value is not None]

    @property
    def measured(self) -> float | None:
        """Mean top-1 over the seeds that are measured, in %."""
        return statistics.fmean(self.values) if self.values else None

    @property
    def sd(self) -> float | None:
        """Sample standard deviation over the seeds, in points; None for fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def found(self) -> Standing:
        """The job of the first seed that is measured, or of the first seed."""
        chosen = next((seed for seed in self.seeds if seed.value is not None), self.seeds[0])
        assert chosen.found is not None
        return chosen.found


@dataclass(frozen=True)
class Line:
    """A row of the table of transfers."""

    row: str
    title: str
    """What its student was distilled from."""
    cells: Mapping[str, Transferred]
    """By set."""
    control: "Line | None"
    """The row with the same fine-tunings from random weights."""
    asked: bool
    """Whether a bare `snakemake` or `snakemake transfers` runs it."""

    @property
    def ran(self) -> bool:
        return any(seed.found is not None and seed.found.receipt is not None for cell in self.cells.values() for seed in cell.seeds)

    @property
    def average(self) -> float | None:
        """Mean over the sets, in %; None while one of them is not measured."""
        means = [cell.measured for cell in self.cells.values()]
        found = [mean for mean in means if mean is not None]
        return statistics.fmean(found) if found and len(found) == len(means) else None

    def margin(self, dataset: str) -> float | None:
        """Measured, less the control's, in points."""
        ours = self.cells[dataset].measured
        theirs = self.control.cells[dataset].measured if self.control else None
        return None if ours is None or theirs is None else ours - theirs

    @property
    def average_margin(self) -> float | None:
        """The same of the averages."""
        theirs = self.control.average if self.control else None
        return None if self.average is None or theirs is None else self.average - theirs


@dataclass(frozen=True)
class Transfers:
    """All rows of a scale that can be transferred."""

    sets: Mapping[str, str]
    """Title by set, in the order of the columns."""
    lines: tuple[Line, ...]

    @property
    def shown(self) -> list[Line]:
        """The rows that somebody asked for, or of which anything ran."""
        return [line for line in self.lines if line.asked or line.ran]

    @property
    def idle(self) -> list[str]:
        """The other rows."""
        return [line.row for line in self.lines if not (line.asked or line.ran)]


def build(plan: Plan, judge: Judge) -> Transfers:
    """The transfers of a scale as the receipts now have them."""
    params = plan.resolved.params
    asked = {job.key["row"] for job in plan.transfers()} if "transfers" in params.build.evidence else set()
    lines: dict[str, Line] = {}
    # Controls first, so that each row finds its own.
    for name in sorted(filter(plan.is_transferred, params.table_rows), key=lambda row: not params.rows[row].from_scratch):
        row = params.rows[name]
        cells = {
            dataset: Transferred(tuple(_seed(plan, judge, name, dataset, seed) for seed in params.build.seeds))
            for dataset in params.transfer.sets
        }
        lines[name] = Line(name, row.title, cells, lines.get(row.control or ""), name in asked)
    titles = {name: params.datasets[name].title for name in params.transfer.sets}
    return Transfers(titles, tuple(lines[name] for name in params.rows if name in lines))


def _seed(plan: Plan, judge: Judge, row: str, dataset: str, seed: int) -> Seed:
    found = judge.of(plan.transfer(row, dataset, seed))
    if found.receipt is None or not found.state.holds:
        return Seed(seed, found.state, found.reason, found, None)
    value = percentage(found.receipt, "top1")
    if value is None:
        return Seed(seed, State.BROKEN, f"{found.path}: holds no top1 between 0 and 100", found, None)
    return Seed(seed, State.BUILT, "", found, value)


def csv_text(plan: Plan, transfers: Transfers) -> str:
    """One line a row and set, in the table's order; numbers in %, margins in points, empty where there is none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["row", "dataset", "top1", "sd", "seeds", "control", "margin", "status", "receipt", "scale"])
    for line in transfers.lines:
        for dataset, cell in line.cells.items():
            control = line.control.cells[dataset].measured if line.control else None
            receipts = [seed.found.receipt.id[:12] for seed in cell.seeds if seed.found is not None and seed.found.receipt is not None]
            status = "measured" if cell.values else cell.found.state
            numbers = [_plain(cell.measured), _plain(cell.sd), len(cell.values) or "", _plain(control), _plain(line.margin(dataset))]
            writer.writerow([line.row, dataset, *numbers, status, " ".join(receipts), plan.scale])
    return out.getvalue()


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
