"""Write the numbers of a sweep as CSV and draw its figure, from the plan and the receipts alone."""

import argparse
from pathlib import Path

from dbot.base.errors import UserError
from dbot.base.files import write_whole
from dbot.lineage.judge import Judge
from dbot.params.load import load
from dbot.plan import RESULTS, Plan
from dbot.report import sweeps


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", required=True, help="a sweep of params.yaml")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the numbers go (default: results/<scale>/sweeps/<name>.csv)")


def run(args: argparse.Namespace) -> None:
    from dbot.report.sweep_figure import draw

    plan = Plan(load(args.params, args.scale))
    if args.name not in plan.params.sweeps:
        known = ", ".join(plan.params.sweeps) or "none"
        raise UserError(f"--name is {args.name!r}: there is no sweep of that name at scale {plan.scale}; declared are: {known}")
    output = args.output or RESULTS / plan.scale / "sweeps" / f"{args.name}.csv"
    swept = sweeps.build(plan, Judge(), args.name)
    write_whole(output, sweeps.csv_text(swept, plan.scale).encode())
    figures = draw(swept, output.with_suffix(""))
    count = sum(cell.measured is not None for cell in swept.cells.values())
    print(f"wrote {output} and {', '.join(map(str, figures))}: {count} of {len(swept.cells)} cells measured at scale {plan.scale}")
