"""Write the table of probes of a scale as CSV, from the plan and the receipts alone."""

import argparse
from pathlib import Path

from dbot.base.files import write_whole
from dbot.lineage.judge import Judge
from dbot.params.load import load
from dbot.plan import RESULTS, Plan
from dbot.report import probes
from dbot.report.table import build


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, metavar="FILE", help="where (default: results/<scale>/probes.csv)")


def run(args: argparse.Namespace) -> None:
    plan, judge = Plan(load(args.params, args.scale)), Judge()
    output = args.output or RESULTS / plan.scale / "probes.csv"
    found = probes.build(plan, judge, build(plan, judge))
    write_whole(output, probes.csv_text(plan, found).encode())
    count = sum(bool(line.values) for line in found.lines)
    print(f"wrote {output}: {count} of {len(found.lines)} networks probed at scale {plan.scale}")
