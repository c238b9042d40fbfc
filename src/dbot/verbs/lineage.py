"""Walk the receipts from a cell, or from a file that a job wrote, back to the data."""

import argparse
import json

from dbot.errors import UserError
from dbot.params.load import load
from dbot.plan import Plan
from dbot.record.lineage import as_json, as_text, walk
from dbot.record.target import jobs_at


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", help="a cell (B-B/cls, B-B/cls/seed0), a receipt, a file beside one, or the table")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="a tree to read, or all of the receipts (default: text)")


def run(args: argparse.Namespace) -> None:
    plan = Plan(load(args.params, args.scale))
    paths = [job.receipt for job in jobs_at(plan, args.target)]
    if not paths:
        raise UserError(f"{args.target}: no cell of scale {plan.scale} has a receipt yet; run `snakemake --config scale={plan.scale}`")
    found = walk(paths)
    print(json.dumps(as_json(paths, found), indent=1) if args.format == "json" else as_text(paths, found))
