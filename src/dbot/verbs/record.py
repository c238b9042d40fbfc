"""Hand what a job wrote to DVC, once its receipt is found to hold."""

import argparse
import json
from pathlib import Path

from dbot.params.load import load
from dbot.plan import Plan
from dbot.record.digest import write_whole
from dbot.record.keep import keep


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--receipt", type=Path, nargs="+", required=True, metavar="FILE", help="receipts of the jobs, all of one scale")
    parser.add_argument("--output", type=Path, metavar="FILE", help="a file that says what was recorded, for the workflow")


def run(args: argparse.Namespace) -> None:
    kept = keep(Plan(load(args.params, args.scale)), args.receipt)
    if args.output is not None:
        write_whole(args.output, (json.dumps(kept, indent=1, sort_keys=True) + "\n").encode())
    for path, digests in kept.items():
        print(f"DVC keeps {path} ({digests['id'][:12]}) and {len(digests) - 1} files of its job")
