"""Complete MLflow from the receipts: everything that a live feed could not send, nothing twice; the rows of the table; the models, with
each row's best by an alias."""

import argparse

from dbot.lineage.judge import Judge
from dbot.params.load import load
from dbot.plan import Plan
from dbot.report.best import best_models, row_runs
from dbot.report.table import build
from dbot.tracking.address import shown_uri
from dbot.tracking.mlflow import sync
from dbot.tracking.models import link
from dbot.tracking.registry import register
from dbot.tracking.rows import sync_rows


def arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> None:
    plan = Plan(load(args.params, args.scale))
    done = sync(plan)
    table = build(plan, Judge())
    rows, models = row_runs(table), best_models(table)
    changed = sync_rows(plan.scale, rows)
    linked = link(plan)
    moved = register(models)
    print(f"MLflow at {shown_uri()}: {done.executions} executions of scale {plan.scale}, {done.completed} runs completed just now")
    print(f"{len(rows)} row{'s' * (len(rows) != 1)} of the table, {changed} of them changed, {linked} models linked just now")
    print(
        f"{len(models)} model{'s' * (len(models) != 1)} registered as the best of their rows, {moved} of them registered or moved just now"
    )
