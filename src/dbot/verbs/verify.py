"""Re-hash everything behind a cell, down to the images, and name the first thing that doesn't match."""

import argparse

from dbot.errors import UserError
from dbot.params.load import load
from dbot.plan import Plan
from dbot.record.target import jobs_at
from dbot.record.verify import verify


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target", nargs="*", metavar="TARGET", help="a cell (B-B/cls, B-B/cls/seed0), a receipt or a file of a job (default: all cells)"
    )
    parser.add_argument("--skip-images", action="store_true", help="don't hash the images of the data sets")


def run(args: argparse.Namespace) -> None:
    plan = Plan(load(args.params, args.scale))
    cells = [job for target in args.target for job in jobs_at(plan, target)] or [job for job in plan.targets() if job.receipt.exists()]
    if not cells:
        raise UserError(f"results/{plan.scale}: no cell of the table has a receipt yet; run `snakemake --config scale={plan.scale}`")
    found = verify(plan.jobs(cells), images=not args.skip_images)
    print(f"{len(cells)} results of scale {plan.scale} and all that is behind them match:")
    print(
        f"  {found.receipts} receipts, {found.files} files of jobs, {found.images} files of data sets, {found.kept} files as DVC has them"
    )
