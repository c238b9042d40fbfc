"""The table of what one linear layer makes of frozen networks: classes from a few images of each, label maps from patch tokens."""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass

from dbot.jobs.adapt import FEW_SHOT, SEGMENTATION
from dbot.lineage.judge import Judge, Standing
from dbot.plan import Plan
from dbot.report.networks import Network, networks


@dataclass(frozen=True)
class Adapted:
    """A network and one task."""

    found: Standing
    values: Mapping[str, float]
    """By finding (`few_5`, `few_5_sd`, `miou`), in %; empty unless the job is done and sound."""


@dataclass(frozen=True)
class Line:
    """A network of a row."""

    network: Network
    cells: Mapping[str, Adapted]
    """By task."""
    asked: bool
    """Whether a bare `snakemake` or `snakemake adaptations` runs it."""

    @property
    def ran(self) -> bool:
        return any(cell.found.receipt is not None for cell in self.cells.values())


@dataclass(frozen=True)
class Adaptations:
    """All networks of a scale."""

    names: Mapping[str, tuple[str, ...]]
    """By task, the findings that have a column."""
    lines: tuple[Line, ...]

    def place(self, name: str) -> int:
        """The number of a finding's column on the page, after row, stage and network."""
        return 3 + [one for names in self.names.values() for one in names].index(name)

    @property
    def shown(self) -> list[Line]:
        """The lines of rows that somebody asked for, or of which anything ran."""
        rows = {line.network.row for line in self.lines if line.network.is_own and (line.asked or line.ran)}
        return [line for line in self.lines if line.network.row in rows]

    @property
    def idle(self) -> list[str]:
        """The other rows."""
        rows = {line.network.row for line in self.shown}
        return list(dict.fromkeys(line.network.row for line in self.lines if line.network.row not in rows))


def build(plan: Plan, judge: Judge) -> Adaptations:
    """The adaptations of a scale as the receipts now have them."""
    params = plan.resolved.params
    names = {FEW_SHOT: tuple(f"few_{each}" for each in params.few_shot.images), SEGMENTATION: ("miou",)}
    asked = {job.name for job in plan.adaptations()} if "adaptations" in params.build.evidence else set()
    lines = []
    for network in networks(plan):
        row, stage = network.place
        cells = {task: _adapted(judge.of(plan.adapt(row, task, stage))) for task in names}
        lines.append(Line(network, cells, any(cell.found.job.name in asked for cell in cells.values())))
    return Adaptations(names, tuple(lines))


def _adapted(found: Standing) -> Adapted:
    results = found.receipt.results if found.receipt is not None and found.state.holds else {}
    values = {name: float(value) for name, value in results.items() if isinstance(value, int | float) and math.isfinite(value)}
    return Adapted(found, values)


def title(name: str) -> str:
    """A finding's name for people: ``5 images a class``."""
    if name == "miou":
        return "mIoU"
    number = name.removeprefix("few_")
    return f"{number} image{'' if number == '1' else 's'} a class"


def csv_text(plan: Plan, found: Adaptations) -> str:
    """One line a network, in the table's order; numbers in %, empty where there is none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = [(task, name) for task, names in found.names.items() for name in names]
    columns = [(task, one) for task, name in columns for one in ((name, f"{name}_sd") if task == FEW_SHOT else (name, "macc", "aacc"))]
    says = [f"{task.replace('-', '_')}_{what}" for task in found.names for what in ("status", "receipt")]
    writer.writerow(["row", "stage", "network", *(name for _, name in columns), *says, "scale"])
    for line in found.lines:
        numbers = [f"{value:.2f}" if (value := line.cells[task].values.get(name)) is not None else "" for task, name in columns]
        said: list[str] = []
        for cell in line.cells.values():
            receipt = cell.found.receipt
            said += ["measured" if cell.found.state.holds else str(cell.found.state), receipt.id[:12] if receipt is not None else ""]
        writer.writerow([line.network.row, line.network.stage, line.network.title, *numbers, *said, plan.scale])
    return out.getvalue()
