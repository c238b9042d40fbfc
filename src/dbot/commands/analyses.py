"""Write the properties of a scale's networks as CSV and as two figures, from the plan and the receipts alone."""

import argparse
from pathlib import Path

from dbot.base.files import write_whole
from dbot.lineage.judge import Judge
from dbot.params.load import load
from dbot.plan import RESULTS, Plan
from dbot.report import analyses


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="where the numbers go (default: results/<scale>/analyses.csv); the figures are written beside it as .svg and .png",
    )


def run(args: argparse.Namespace) -> None:
    plan = Plan(load(args.params, args.scale))
    output = args.output or RESULTS / plan.scale / "analyses.csv"
    found = analyses.build(plan, Judge())
    figures = analyses.draw(found, output.parent)
    write_whole(output, analyses.csv_text(plan, found).encode())
    count = sum(line.insides is not None for line in found)
    print(f"wrote {output} and {', '.join(map(str, figures))}: {count} of {len(found)} networks analysed at scale {plan.scale}")
