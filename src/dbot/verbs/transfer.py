"""Fine-tune a row's student on a set that its pre-training has not seen, and measure it there."""

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--row", required=True, help="row of the table")
    parser.add_argument("--dataset", required=True, help="data set under `transfer.sets` of params.yaml")
    parser.add_argument("--seed", required=True, type=int, help="seed of this fine-tuning")
    parser.add_argument("--data", type=Path, metavar="RECEIPT", help="receipt of the prepared data (default: the planned one)")
    parser.add_argument("--start", type=Path, metavar="RECEIPT", help="receipt of the student to start from")
    parser.add_argument("--receipt", type=Path, metavar="FILE", help="where the receipt goes: its planned place, which is the default")


def run(args: argparse.Namespace) -> None:
    from dbot.plan import MODEL, transfer_recipe
    from dbot.verbs.finetune import figures, fine_tune
    from dbot.verbs.training import training

    with training(args, "transfer", row=args.row, dataset=args.dataset, seed=str(args.seed)) as job:
        recipe = transfer_recipe(job.plan.params, args.row, args.dataset)
        weights, about, outcome = fine_tune(job, recipe, f"transfer {args.row} {args.dataset}", args.row, args.seed)
        found = figures(outcome, recipe.epochs)
        job.save(MODEL, weights if recipe.select == "last" or outcome.best is None else outcome.best, about)
        job.finish({"top1": found[f"{recipe.select}_top1"], **found})
