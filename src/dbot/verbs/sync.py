"""Complete MLflow from the receipts: everything that a live feed could not send, and nothing twice."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from dbot.params.load import load
from dbot.plan import Plan
from dbot.record.digest import write_whole
from dbot.record.mlflow import sync
from dbot.record.runs import shown_uri


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, metavar="FILE", help="a file that says what was done, for the workflow")


def run(args: argparse.Namespace) -> None:
    plan = Plan(load(args.params, args.scale))
    done = sync(plan)
    if args.output is not None:
        write_whole(args.output, (json.dumps({"uri": shown_uri(), **asdict(done)}, indent=1) + "\n").encode())
    print(f"MLflow at {shown_uri()}: {done.receipts} receipts of scale {plan.scale}, {done.completed} runs completed just now")
