"""Write the table of transfers of a scale as CSV, from the plan and the receipts alone."""

import argparse
from pathlib import Path

from dbot.base.files import write_whole
from dbot.lineage.judge import Judge
from dbot.params.load import load
from dbot.plan import RESULTS, Plan
from dbot.report import transfers


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, metavar="FILE", help="where (default: results/<scale>/transfers.csv)")


def run(args: argparse.Namespace) -> None:
    plan = Plan(load(args.params, args.scale))
    output = args.output or RESULTS / plan.scale / "transfers.csv"
    found = transfers.build(plan, Judge())
    write_whole(output, transfers.csv_text(plan, found).encode())
    cells = [cell for line in found.lines for cell in line.cells.values()]
    print(f"wrote {output}: {sum(bool(cell.values) for cell in cells)} of {len(cells)} transfers measured at scale {plan.scale}")
