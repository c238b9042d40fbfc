"""Suggest what jobs should ask for, by rule and architecture, from what those that ran have used."""

import argparse

from dbot.base.errors import UserError
from dbot.forecast.resources import read, suggest, yaml_text
from dbot.params.load import load
from dbot.plan import Plan


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=["suggest"], help="suggest: print an override of `resources` for params.yaml")
    parser.add_argument("--memory-margin", type=float, default=1.3, metavar="FACTOR", help="on the memory seen (default: %(default)s)")
    parser.add_argument("--time-margin", type=float, default=1.5, metavar="FACTOR", help="on the seconds seen (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    for name, margin in (("--memory-margin", args.memory_margin), ("--time-margin", args.time_margin)):
        if not margin >= 1:
            raise UserError(f"{name} is {margin:g}: must be at least 1, or jobs that were seen would not fit")
    plan = Plan(load(args.params, args.scale))
    found = suggest(read(plan.everything()), args.memory_margin, args.time_margin)
    if not found:
        raise UserError(f"scale {plan.scale}: no job has been done yet, so nothing is known of what they use; run some first")
    print(yaml_text(plan, found, {"memory": args.memory_margin, "time": args.time_margin}), end="")
