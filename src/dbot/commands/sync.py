"""Complete MLflow from the receipts: everything that a live feed could not send, nothing twice, and each row's best model by an alias."""

import argparse

from dbot.params.load import load
from dbot.plan import Plan
from dbot.report.best import best_models
from dbot.tracking.address import shown_uri
from dbot.tracking.mlflow import sync
from dbot.tracking.registry import register


def arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> None:
    plan = Plan(load(args.params, args.scale))
    done = sync(plan)
    models = best_models(plan)
    moved = register(models)
    print(f"MLflow at {shown_uri()}: {done.executions} executions of scale {plan.scale}, {done.completed} runs completed just now")
    print(
        f"{len(models)} model{'s' * (len(models) != 1)} registered as the best of their rows, {moved} of them registered or moved just now"
    )
