"""Write the table of a scale as CSV and Markdown, from the plan and the receipts alone."""

import argparse
from pathlib import Path

from dbot.base.errors import UserError
from dbot.base.files import write_whole
from dbot.lineage.judge import Judge
from dbot.params.load import load
from dbot.plan import RESULTS, Plan
from dbot.report.files import csv_text, markdown
from dbot.report.table import build


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="where (default: results/<scale>/table.csv); the same as .md is written beside it"
    )


def run(args: argparse.Namespace) -> None:
    plan = Plan(load(args.params, args.scale))
    output = args.output or RESULTS / plan.scale / "table.csv"
    if output.suffix != ".csv":
        raise UserError(f"--output is {output}: its name must end in .csv; the same table is written beside it as .md")
    table = build(plan, Judge())
    beside = output.with_suffix(".md")
    write_whole(output, csv_text(table).encode())
    write_whole(beside, markdown(table).encode())
    count = sum(bool(cell.values) for cell in table.cells)
    print(f"wrote {output} and {beside}: {count} of {len(table.cells)} cells measured at scale {table.scale}")
