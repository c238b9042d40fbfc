"""Hand what jobs wrote to DVC, once their receipts are found to hold."""

import argparse
from pathlib import Path

from dbot.lineage.judge import job_of
from dbot.params.load import load
from dbot.plan import Plan
from dbot.versioning.keep import keep, keep_rest
from dbot.versioning.pointer import pointer_path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--receipt",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="receipts of the jobs, all of one scale (default: every one that holds and whose files DVC doesn't have yet)",
    )


def run(args: argparse.Namespace) -> None:
    plan = Plan(load(args.params, args.scale))
    named = [job_of(plan, path) for path in args.receipt or ()]
    new, refused = keep_rest(plan) if args.receipt is None else (keep(named), {})
    for path in new:
        print(f"DVC keeps {path}, by {pointer_path(path)}")
    for name, reason in refused.items():
        print(f"not handed over  {name}: {reason}")
    if not new and not refused:
        print(f"nothing: DVC has the files of every job of scale {plan.scale}" if args.receipt is None else "nothing: DVC has their files")
