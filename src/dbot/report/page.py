"""The report: one HTML file that shows the table, what it rests on, and what is missing."""

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from dbot.base import durations
from dbot.base.errors import UserError
from dbot.forecast.forecast import forecast
from dbot.jobs.evaluate import DENSE, GALLERY
from dbot.lineage import receipt as receipts
from dbot.lineage.history import History, read_history
from dbot.lineage.judge import Judge, Standing, State, spent
from dbot.lineage.receipt import Receipt
from dbot.lineage.target import jobs_done
from dbot.params.rows import Column
from dbot.plan import METRICS, Job, Plan
from dbot.report import adaptations, analyses, comparisons, overview, probes, reliability, shifts, sweeps, transfers, words
from dbot.report.charts import HEIGHT, WIDTH, Chart, Curve, chart, curve, graph, in_a_row
from dbot.report.table import FURTHER, Cell, Line, Table, build, groups, in_full

HERE = Path(__file__).parent
SHORT = 12
"""Digits of a digest that the page shows."""


@dataclass(frozen=True)
class Curves:
    """The charts of one row."""

    line: Line
    charts: tuple[Chart, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Gap:
    """A cell without a number."""

    cell: Cell
    asked: bool
    """Whether the target `table` builds it."""
    jobs: tuple[str, ...]
    """Names of the jobs that have to run for it."""
    command: str
    """What runs them; empty where it can't be measured yet."""


def render(plan: Plan) -> str:
    """The report of a scale as the receipts now have it."""
    judge = Judge()
    table = build(plan, judge)
    swept = sweeps.build_all(plan, judge)
    ran = [found for found in map(judge.of, plan.jobs([*plan.everything(), *jobs_done(plan)])) if found.execution is not None]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    evidence = {
        "probes": plan.probes,
        "analyses": plan.analyses,
        "transfers": plan.transfers,
        "shifts": plan.shifts,
        "adaptations": plan.adaptations,
    }
    shown = list(galleries(table))
    gaps = _gaps(table, judge)
    shifted = shifts.build(plan, judge, table)
    pictures, problems = overview.method_pictures(table, judge)
    environment.filters.update(short=short, figure=figure, duration=durations.exact, anchor=anchor, blank=blank, probe_title=probes.title)
    environment.filters["adaptation_title"] = adaptations.title
    return environment.get_template("page.html").render(
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        table=table,
        words=words,
        groups=groups,
        dense={column: full for column in DENSE if (full := in_full(table.lines, column))[0]},
        further=FURTHER,
        asked=_asked(table),
        sweeps=swept,
        transfers=transfers.build(plan, judge),
        shifts=shifted,
        by_cost=shifts.by_cost(shifted),
        adaptations=adaptations.build(plan, judge),
        probes=probes.build(plan, judge, table),
        analyses=analyses.view(analyses.build(plan, judge)),
        comparisons=comparisons.build(plan, judge),
        overview={
            "panels": overview.panels(table),
            "width": overview.WIDTH,
            "right": overview.RIGHT,
            "head": overview.HEAD,
            "foot": overview.FOOT,
        },
        method={"pictures": pictures, "problems": problems},
        diagrams=list(reliability.diagrams(table)),
        galleries=shown,
        gallery_of=_gallery_of(table, shown),
        to_run=to_run,
        run=lambda *targets: words.to_run(plan.scale, targets),
        missing={name: _missing(plan, judge, name, made) for name, made in evidence.items()},
        everything=words.to_run(plan.scale, []).removesuffix(" --") if any(gap.asked for gap in gaps) else "",
        curves=[curves for line in (*table.published, *table.own) if (curves := _curves(plan, judge, line)).charts or curves.problems],
        graph=graph(plan.jobs(), judge),
        ran=ran,
        forecasts={one.job.name: one.forecast for one in forecast(plan, [found.job for found in ran]).jobs},
        hardware=plan.params.hardware.kinds[plan.params.hardware.use].title,
        hours=spent(ran),
        gaps=gaps,
        cited=[cell for cell in (*table.cells, *(cell for one in swept for cell in one.cells.values())) if cell.receipts],
        chart_size=(WIDTH, HEIGHT),
    )


def _asked(table: Table) -> list[Cell]:
    """The cells that the target `table` builds: its rows with their controls."""
    build_of = table.params.build
    wanted = {(name, column) for name in build_of.rows for column in build_of.columns}
    wanted |= {(control, column) for name, column in wanted if (control := table.params.control(name, column)) is not None}
    return [cell for cell in table.cells if (cell.row, cell.column) in wanted]


def _gaps(table: Table, judge: Judge) -> list[Gap]:
    asked = _asked(table)
    gaps = []
    for cell in table.cells:
        if cell.measured is None or len(cell.values) < len(cell.seeds):
            targets = table.plan.measurements(cell.row, cell.column)
            missing = tuple(job.name for job in table.plan.jobs(targets) if not judge.of(job).state.holds)
            gaps.append(Gap(cell, cell in asked, missing, to_run(cell)))
    return sorted(gaps, key=lambda gap: not gap.asked)


def to_run(cell: Cell) -> str:
    """The command that measures what is missing of a cell; empty where its column can't be measured yet."""
    jobs = [seed.found.job for seed in cell.seeds if seed.value is None and seed.found is not None]
    return words.to_run(jobs[0].scale, [job.receipt for job in jobs]) if jobs else ""


def _missing(plan: Plan, judge: Judge, target: str, made: Callable[[list[str] | None], list[Job]]) -> str:
    """The command that runs what is missing of some evidence: the target's own jobs by its name, others by theirs; empty for none."""
    missing = [job for job in made(plan.params.table_rows) if not judge.of(job).state.is_there]
    asked = {job.name for job in made(None)}
    targets = [target] if any(job.name in asked for job in missing) else []
    targets += [str(job.receipt) for job in missing if job.name not in asked]
    return words.to_run(plan.scale, targets) if targets else ""


def _curves(plan: Plan, judge: Judge, line: Line) -> Curves:
    """The row's charts: the loss over all stages, then fine-tuning beside the control's."""
    problems: list[str] = []

    def read(jobs: Iterable[Job]) -> list[tuple[Standing, History]]:
        histories = []
        for found in map(judge.of, jobs):
            try:
                if (
                    found.state is not State.BROKEN
                    and found.receipt is not None
                    and (history := _history(found.receipt, found.path.parent))
                ):
                    histories.append((found, history))
            except UserError as error:
                problems.append(str(error))
        return histories

    charts: list[Chart | None] = []
    jobs = [plan.distill(line.name, stage) for stage in range(1, line.declared.last_stage + 1)]
    stages = [read([job]) for job in jobs]
    parts = [
        (curve(found[0][1], "loss", f"{line.name} stage {number}"), float(found[0][1][-1]["epoch"] or 0))
        if found
        else (Curve("", False, ()), float(job.settings["recipe"]["epochs"]))
        for number, (job, found) in enumerate(zip(jobs, stages, strict=True), 1)
    ]
    inside, begins = in_a_row(parts)
    borders = [(at, f"stage {number}") for number, at in enumerate(begins, 2)]
    charts.append(chart("Distillation: loss", inside, _note([one for found in stages for one in found]), borders))
    seeds = plan.resolved.params.build.seeds
    ours = read(plan.classifier(line.name, seed) for seed in seeds)
    theirs = read(plan.finetune(line.declared.control, seed) for seed in seeds) if line.declared.control and ours else []
    for metric, title in (("loss", "Fine-tuning: loss"), ("top1", "Fine-tuning: top-1 in %")):
        curves = [
            *(curve(history, metric, line.name) for _, history in ours),
            *(curve(history, metric, str(line.declared.control), reference=True) for _, history in theirs),
        ]
        charts.append(chart(title, curves, _note([*ours, *theirs])))
    return Curves(line, tuple(found for found in charts if found is not None), tuple(problems))


def _history(receipt: Receipt, folder: Path) -> History:
    """The metrics of a job, once they are known to be those on its receipt; empty if it keeps none."""
    recorded = receipt.artifacts.get(METRICS)
    return read_history(receipts.verified(folder, METRICS, recorded)) if recorded else []


def _note(found: Sequence[tuple[Standing, History]]) -> str:
    return "stale" if any(one.state is State.STALE for one, _ in found) else ""


def anchor(job: Job) -> str:
    """The id on the page of a job's line."""
    return f"job-{job.name.replace('/', '-')}"


def short(digest: str) -> str:
    """The first digits of a digest."""
    return digest[:SHORT]


def figure(value: float | int | str) -> str:
    """A finding for the eye: thousands apart, four digits of a fraction, the head of a digest."""
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    if isinstance(value, float):
        return f"{value:.4g}"
    return short(value) if len(value) >= 40 and all(c in "0123456789abcdef" for c in value) else value


def blank(value: float | None) -> str:
    """A number for sorting; empty for None."""
    return "" if value is None else repr(value)


@dataclass(frozen=True)
class Gallery:
    """The gallery of one measurement."""

    row: str
    column: Column
    seed: int
    jpeg: str
    """The picture, in base64."""

    @property
    def anchor(self) -> str:
        """Its id on the page."""
        return f"gallery-{self.row}-{self.column}-seed{self.seed}"


def galleries(table: Table) -> Iterator[Gallery]:
    """Of every dense cell that is measured, for each seed whose picture lies beside its receipt.

    A cell that a row has from another one is shown there.
    """
    for cell in table.cells:
        if cell.column in table.params.rows[cell.row].columns_from:
            continue
        for seed in cell.seeds:
            if cell.column == "cls" or seed.value is None or seed.found is None:
                continue
            path = seed.found.job.folder / GALLERY
            if path.is_file():
                yield Gallery(cell.row, cell.column, seed.seed, base64.b64encode(path.read_bytes()).decode())


def _gallery_of(table: Table, shown: Sequence[Gallery]) -> dict[tuple[str, Column], str]:
    """By row and column, the id of the gallery of its first seed, or of that of the row which it has the cell from."""
    first: dict[tuple[str, Column], str] = {}
    for gallery in shown:
        first.setdefault((gallery.row, gallery.column), gallery.anchor)
    for name in table.params.table_rows:
        for column, other in table.params.rows[name].columns_from.items():
            if (other, column) in first:
                first[name, column] = first[other, column]
    return first
