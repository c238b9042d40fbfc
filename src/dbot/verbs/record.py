"""Hand what jobs wrote to DVC, once their receipts are found to hold."""

import argparse
import json
from pathlib import Path

from dbot.base.files import write_whole
from dbot.params.load import load
from dbot.plan import Plan
from dbot.record.keep import keep, keep_rest


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--receipt",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="receipts of the jobs, all of one scale (default: every one that holds and that DVC doesn't have yet)",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="a file that says what was recorded, for the workflow")


def run(args: argparse.Namespace) -> None:
    plan = Plan(load(args.params, args.scale))
    kept, refused = keep_rest(plan) if args.receipt is None else (keep(plan, args.receipt), {})
    if args.output is not None:
        write_whole(args.output, (json.dumps(kept, indent=1, sort_keys=True) + "\n").encode())
    for path, digests in kept.items():
        print(f"DVC keeps {path} ({digests['id'][:12]}) and {len(digests) - 1} files of its job")
    for name, reason in refused.items():
        print(f"not handed over  {name}: {reason}")
    if not kept and not refused:
        print(f"nothing: DVC has what every job of scale {plan.scale} wrote")
