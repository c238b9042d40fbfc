"""Write the report of a scale as one self-contained HTML page, from the plan and the receipts alone."""

import argparse
from pathlib import Path

from dbot.base.files import write_whole
from dbot.params.load import load
from dbot.plan import RESULTS, Plan
from dbot.report.page import render


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, metavar="FILE", help="where (default: results/<scale>/report.html)")


def run(args: argparse.Namespace) -> None:
    plan = Plan(load(args.params, args.scale))
    output = args.output or RESULTS / plan.scale / "report.html"
    write_whole(output, render(plan).encode())
    print(f"wrote {output}: open it in a browser, it needs no network")
