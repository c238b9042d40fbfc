"""Check everything behind a cell, down to the images, against DVC, git and MLflow, and name the first thing that doesn't match."""

import argparse

from dbot.errors import UserError
from dbot.params.load import load
from dbot.plan import RESULTS, Plan
from dbot.record.mlflow import check_runs
from dbot.record.target import jobs_at
from dbot.record.verify import verify
from dbot.report.evidence import Evidence
from dbot.report.files import csv_text
from dbot.report.table import build


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target", nargs="*", metavar="TARGET", help="a cell (B-B/cls, B-B/cls/seed0), a row, a receipt or a file of a job (default: all)"
    )
    parser.add_argument("--skip-images", action="store_true", help="don't hash the images of the data sets")
    parser.add_argument("--skip-mlflow", action="store_true", help="don't compare the runs in MLflow")


def run(args: argparse.Namespace) -> None:
    plan = Plan(load(args.params, args.scale))
    cells = [job for target in args.target for job in jobs_at(plan, target)] or [job for job in plan.targets() if job.receipt.exists()]
    if not cells:
        raise UserError(f"results/{plan.scale}: no cell of the table has a receipt yet; run `snakemake --config scale={plan.scale}`")
    jobs = plan.jobs(cells)
    found = verify(plan, jobs, images=not args.skip_images)
    table = _table(plan) if not args.target else None
    runs = check_runs(jobs) if not args.skip_mlflow else None
    print(f"{len(cells)} result{'s' * (len(cells) != 1)} of scale {plan.scale} and all that is behind them match:")
    print(f"  {found.receipts} receipts, {found.files} files of jobs, {found.images} files of data sets")
    print(f"  {found.kept} files as DVC has them, {found.commits} receipts with the code of their commit in git")
    if runs is not None and runs.same:
        print(f"  {runs.same} runs as MLflow has them")
    if table is not None:
        print(f"  {table}, written from these receipts")
    for note in [*found.notes, *(runs.notes if runs is not None else ["MLflow: not checked, as asked"])]:
        print(f"  {note}")


def _table(plan: Plan) -> str | None:
    """The table's file, if it is there.

    Raises:
        UserError: it says something else than the receipts.
    """
    path = RESULTS / plan.scale / "table.csv"
    if not path.exists():
        return None
    written, expected = path.read_text(encoding="utf-8").splitlines(), csv_text(build(plan, Evidence())).splitlines()
    for i, (here, line) in enumerate(zip(written, expected, strict=False), 1):
        if here != line:
            raise UserError(f"{path}:{i}: row {line.split(',')[0]} says something else than the receipts; `dbot table` writes it anew")
    if len(written) != len(expected):
        raise UserError(f"{path}: has {len(written)} lines, the receipts give {len(expected)}; `dbot table` writes it anew")
    return path.as_posix()
