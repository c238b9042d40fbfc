"""What a scale's receipts show: the table, the evidence beside it, and the page. Each is made from the plan and the receipts alone."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dbot.base.errors import UserError
from dbot.base.files import write_whole
from dbot.lineage.judge import Judge
from dbot.params.load import load
from dbot.plan import RESULTS, Plan
from dbot.report import adaptations, analyses, files, probes, shifts, sweeps, transfers
from dbot.report.table import build


@dataclass(frozen=True)
class View:
    """One verb that writes a file, and says what is in it."""

    description: str
    file: str
    """Where it goes below ``results/<scale>/``, unless the command line says so."""
    write: Callable[[Plan, argparse.Namespace, Path], str]
    """Writes (what the plan's receipts show, as the command line asks, to a file); gives what a person is told."""


def _table(plan: Plan, args: argparse.Namespace, output: Path) -> str:
    if output.suffix != ".csv":
        raise UserError(f"--output is {output}: its name must end in .csv; the same table is written beside it as .md")
    table = build(plan, Judge())
    beside = output.with_suffix(".md")
    write_whole(output, files.csv_text(table).encode())
    write_whole(beside, files.markdown(table).encode())
    return f"and {beside}: {sum(bool(cell.values) for cell in table.cells)} of {len(table.cells)} cells measured"


def _probes(plan: Plan, args: argparse.Namespace, output: Path) -> str:
    judge = Judge()
    found = probes.build(plan, judge, build(plan, judge))
    write_whole(output, probes.csv_text(plan, found).encode())
    return f": {sum(bool(line.values) for line in found.lines)} of {len(found.lines)} networks probed"


def _analyses(plan: Plan, args: argparse.Namespace, output: Path) -> str:
    found = analyses.build(plan, Judge())
    figures = analyses.draw(found, output.parent)
    write_whole(output, analyses.csv_text(plan, found).encode())
    measured = sum(line.insides is not None for line in found)
    return f"and {', '.join(map(str, figures))}: {measured} of {len(found)} networks analysed"


def _transfers(plan: Plan, args: argparse.Namespace, output: Path) -> str:
    found = transfers.build(plan, Judge())
    write_whole(output, transfers.csv_text(plan, found).encode())
    cells = [cell for line in found.lines for cell in line.cells.values()]
    return f": {sum(bool(cell.values) for cell in cells)} of {len(cells)} transfers measured"


def _shifts(plan: Plan, args: argparse.Namespace, output: Path) -> str:
    judge = Judge()
    found = shifts.build(plan, judge, build(plan, judge))
    write_whole(output, shifts.csv_text(plan, found).encode())
    cells = [cell for line in found.lines for cell in line.cells.values()]
    return f": {sum(cell.measured is not None for cell in cells)} of {len(cells)} classifiers and sets measured"


def _adaptations(plan: Plan, args: argparse.Namespace, output: Path) -> str:
    found = adaptations.build(plan, Judge())
    write_whole(output, adaptations.csv_text(plan, found).encode())
    cells = [cell for line in found.lines for cell in line.cells.values()]
    return f": {sum(bool(cell.values) for cell in cells)} of {len(cells)} networks and tasks measured"


def _sweep(plan: Plan, args: argparse.Namespace, output: Path) -> str:
    if args.name not in plan.params.sweeps:
        known = ", ".join(plan.params.sweeps) or "none"
        raise UserError(f"--name is {args.name!r}: there is no sweep of that name at scale {plan.scale}; declared are: {known}")
    swept = sweeps.build(plan, Judge(), args.name)
    write_whole(output, sweeps.csv_text(swept, plan.scale).encode())
    figures = sweeps.draw(swept, output.with_suffix(""))
    measured = sum(cell.measured is not None for cell in swept.cells.values())
    return f"and {', '.join(map(str, figures))}: {measured} of {len(swept.cells)} cells measured"


def _report(plan: Plan, args: argparse.Namespace, output: Path) -> str:
    from dbot.report.page import render

    write_whole(output, render(plan).encode())
    return ": open it in a browser, it needs no network; it shows what is built"


VIEWS = {
    "table": View("Write the table of a scale as CSV, and as Markdown beside it.", "table.csv", _table),
    "probes": View("Write the table of probes of a scale as CSV.", "probes.csv", _probes),
    "analyses": View(
        "Write the insides of a scale's networks as CSV, and draw them as .svg and .png beside it.", "analyses.csv", _analyses
    ),
    "transfers": View("Write the table of transfers of a scale as CSV.", "transfers.csv", _transfers),
    "shifts": View("Write the table of classifiers on shifted sets, and of what they cost, as CSV.", "shifts.csv", _shifts),
    "adaptations": View("Write the table of few-shot probes and linear segmentation as CSV.", "adaptations.csv", _adaptations),
    "sweep": View("Write the numbers of a sweep as CSV, and draw them beside it.", "sweeps/<name>.csv", _sweep),
    "report": View("Write the report of a scale as one self-contained HTML page.", "report.html", _report),
}


def arguments(parser: argparse.ArgumentParser, verb: str) -> None:
    if verb == "sweep":
        parser.add_argument("--name", required=True, help="a sweep of params.yaml")
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"where (default: results/<scale>/{VIEWS[verb].file})")


def run(args: argparse.Namespace, verb: str) -> None:
    view, plan = VIEWS[verb], Plan(load(args.params, args.scale))
    output = args.output or RESULTS / plan.scale / view.file.replace("<name>", getattr(args, "name", ""))
    said = view.write(plan, args, output)
    print(f"wrote {output}{'' if said.startswith(':') else ' '}{said} at scale {plan.scale}")
