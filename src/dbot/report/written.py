"""Whether the tables, figures and pages that lie here are what the receipts give: each is made again, and compared byte by byte."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from dbot.base.errors import UserError
from dbot.lineage.judge import Judge
from dbot.plan import RESULTS, Plan
from dbot.report import analyses, probes, sweeps, transfers
from dbot.report.files import csv_text, markdown
from dbot.report.page import render
from dbot.report.table import build

Writer = Callable[[], Mapping[str, bytes]]
"""Makes files, by their paths below the results of the scale."""


def check_written(plan: Plan) -> list[Path]:
    """Compare what lies here of the files that are written from the receipts alone; returns their paths.

    Raises:
        UserError: names the first that says something else.
    """
    folder, found = RESULTS / plan.scale, []
    for verb, (names, writer) in _writers(plan).items():
        lying = [name for name in names if (folder / name).is_file()]
        made = writer() if lying else {}
        for name in lying:
            _compare(folder / name, made[name], verb)
            found.append(folder / name)
    return found


def _writers(plan: Plan) -> dict[str, tuple[list[str], Writer]]:
    """By verb, with what it takes, the files that it writes and how they come about; what is quick to make comes first."""
    judge = Judge()
    table = build(plan, judge)
    figures = [f"{stem}{suffix}" for stem in analyses.FIGURES for suffix in (".svg", ".png")]
    return {
        "table": (["table.csv", "table.md"], lambda: {"table.csv": csv_text(table).encode(), "table.md": markdown(table).encode()}),
        "transfers": (
            ["transfers.csv"],
            lambda: {"transfers.csv": transfers.csv_text(plan, transfers.build(plan, judge)).encode()},
        ),
        "probes": (["probes.csv"], lambda: {"probes.csv": probes.csv_text(plan, probes.build(plan, judge, table)).encode()}),
        "analyses": (["analyses.csv", *figures], lambda: _analyses(plan, judge)),
        **{
            f"sweep --name {name}": ([f"sweeps/{name}{suffix}" for suffix in (".csv", ".svg", ".png")], _sweep(plan, judge, name))
            for name in plan.params.sweeps
        },
        "report": (["report.html"], lambda: {"report.html": render(plan).encode()}),
    }


def _analyses(plan: Plan, judge: Judge) -> dict[str, bytes]:
    found = analyses.build(plan, judge)
    return {"analyses.csv": analyses.csv_text(plan, found).encode(), **_drawn(lambda folder: analyses.draw(found, folder))}


def _sweep(plan: Plan, judge: Judge, name: str) -> Writer:
    def write() -> dict[str, bytes]:
        from dbot.report.sweep_figure import draw

        swept = sweeps.build(plan, judge, name)
        drawn = _drawn(lambda folder: draw(swept, folder / "sweeps" / name))
        return {f"sweeps/{name}.csv": sweeps.csv_text(swept, plan.scale).encode(), **drawn}

    return write


def _drawn(draw: Callable[[Path], object]) -> dict[str, bytes]:
    """The files of figures that are drawn into a folder."""
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder))
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def _compare(path: Path, made: bytes, verb: str) -> None:
    lies = path.read_bytes()
    if lies == made:
        return
    remedy = f"`dbot {verb} --scale {path.relative_to(RESULTS).parts[0]}` writes it anew"
    if path.suffix == ".png":
        raise UserError(f"{path}: is not the picture that the receipts give; {remedy}")
    here, given = lies.split(b"\n"), made.split(b"\n")
    for i, (line, expected) in enumerate(zip(here, given, strict=False), 1):
        if line != expected:
            what = f"row {expected.split(b',')[0].decode()}" if path.suffix == ".csv" and expected else "this line"
            raise UserError(f"{path}:{i}: {what} says something else than the receipts; {remedy}")
    raise UserError(f"{path}: has {len(here)} lines, the receipts give {len(given)}; {remedy}")
