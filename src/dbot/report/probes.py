"""The table of probes: what frozen features hold, for every stage and first teacher, beside what fine-tuning makes of it."""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass

from dbot.lineage.judge import Judge, Standing
from dbot.plan import Plan
from dbot.report.networks import Network, networks
from dbot.report.table import Cell, Table


@dataclass(frozen=True)
class Probed:
    """A network of a row, and what its probes found."""

    network: Network
    found: Standing
    values: Mapping[str, float]
    """By probe (`knn_10`, `linear`), top-1 in %; empty unless the job is done and sound."""
    tuned: Cell | None
    """The row's cell, where its fine-tuning starts from this very network."""
    asked: bool
    """Whether a bare `snakemake` or `snakemake probes` runs it."""


@dataclass(frozen=True)
class Probes:
    """All networks of a scale."""

    names: tuple[str, ...]
    """The probes, in the order of the columns."""
    lines: tuple[Probed, ...]

    @property
    def shown(self) -> list[Probed]:
        """The lines of rows that somebody asked for, or of which anything ran."""
        own = [line for line in self.lines if line.network.is_own]
        rows = {line.network.row for line in own if line.asked or line.found.receipt is not None}
        return [line for line in self.lines if line.network.row in rows]

    @property
    def idle(self) -> list[str]:
        """The other rows."""
        rows = {line.network.row for line in self.shown}
        return list(dict.fromkeys(line.network.row for line in self.lines if line.network.row not in rows))


def build(plan: Plan, judge: Judge, table: Table) -> Probes:
    """The probes of a scale as the receipts now have them."""
    params = plan.resolved.params
    names = (*(f"knn_{k}" for k in params.probes.knn.k), "linear")
    asked = {job.name for job in plan.probes()}
    cells = {line.name: line.cells["cls"] for line in table.lines}
    lines = []
    for network in networks(plan):
        job = plan.probe(*network.place)
        found = judge.of(job)
        row = params.rows[network.row]
        is_start = network.stage == (row.stages.cls if row.stages is not None else 1)
        lines.append(Probed(network, found, _values(found, names), cells[network.row] if is_start else None, job.name in asked))
    return Probes(names, tuple(lines))


def _values(found: Standing, names: tuple[str, ...]) -> dict[str, float]:
    if found.receipt is None or not found.state.holds:
        return {}
    results = found.receipt.results
    values = {name: results.get(name) for name in names}
    return {name: float(value) for name, value in values.items() if isinstance(value, int | float) and math.isfinite(value)}


def title(name: str) -> str:
    """A probe's name for people: ``k-NN, k = 10``."""
    return f"k-NN, k = {name.removeprefix('knn_')}" if name.startswith("knn_") else name


def csv_text(plan: Plan, probes: Probes) -> str:
    """One line a network, in the table's order; numbers in %, empty where there is none."""
    more = ("linear_strength", "linear_held_out", "linear_converged")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["row", "stage", "network", *probes.names, *more, "status", "measured_as", "receipt", "scale", "data"])
    for line in probes.lines:
        receipt = line.found.receipt
        results = receipt.results if receipt is not None and line.values else {}
        writer.writerow(
            [
                line.network.row,
                line.network.stage,
                line.network.title,
                *(f"{line.values[name]:.2f}" if name in line.values else "" for name in probes.names),
                *(f"{results[name]:g}" if name in results else "" for name in more),
                "measured" if line.found.state.holds else line.found.state,
                line.found.job.name,
                receipt.id[:12] if receipt is not None else "",
                plan.scale,
                plan.resolved.params.uses.cls,
            ]
        )
    return out.getvalue()
