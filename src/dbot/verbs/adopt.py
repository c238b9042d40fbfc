"""Take over what `git clone` and `dvc pull` brought, so that Snakemake runs nothing of it again."""

import argparse

from dbot.params.load import load
from dbot.plan import Plan
from dbot.record.adopt import adoption, outputs, touch


def arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> None:
    plan = Plan(load(args.params, args.scale))
    found = adoption(plan)
    if found.adopted:
        touch(plan, outputs(plan, found))
    for job in found.adopted:
        print(f"adopted      {job.name}")
    for name, reason in found.refused.items():
        print(f"not adopted  {name}: {reason}")
    print(f"{len(found.adopted)} of {len(found.adopted) + len(found.refused)} jobs of scale {plan.scale} are adopted")
