"""Write dvc.yaml from params.yaml: one stage for each job of the default scale's table."""

import argparse

from dbot.base.errors import UserError
from dbot.params.load import load
from dbot.plan import Plan
from dbot.record.stages import FILE, write_stages


def arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> None:
    plan = Plan(load(args.params, args.scale))
    if plan.scale != plan.params.scale:
        raise UserError(
            f"{FILE} holds the default scale, which is {plan.params.scale} ({args.params}: scale); "
            f"stages of scale {plan.scale} are written to results/{plan.scale}/{FILE} by `dbot record`"
        )
    write_stages(plan)
    print(f"wrote {FILE}: {len(plan.jobs())} stages")
