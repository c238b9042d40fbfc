"""Measure one cell of the table on the validation images, every image counted once."""

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--row", required=True, help="row of the table")
    parser.add_argument("--column", required=True, choices=["cls", "det", "seg"], help="column of the table")
    parser.add_argument("--seed", required=True, type=int, help="seed of the fine-tuning that is measured")
    parser.add_argument("--data", type=Path, metavar="RECEIPT", help="receipt of the prepared data (default: the planned one)")
    parser.add_argument("--model", type=Path, metavar="RECEIPT", help="receipt of the fine-tuned model")
    parser.add_argument("--receipt", type=Path, metavar="FILE", help="where the receipt goes (default: the planned place)")


def run(args: argparse.Namespace) -> None:
    from dbot.models import checkpoint
    from dbot.models.classifier import load_classifier
    from dbot.plan import STUDENT
    from dbot.tasks.classify import classifier_for, evaluate
    from dbot.verbs.training import training

    with training(args, "evaluate", row=args.row, column=args.column, seed=str(args.seed)) as job:
        params, row = job.plan.params, job.plan.params.rows[args.row]
        architecture, recipe = params.architectures[row.architecture], params.recipes.finetune[row.recipe]
        size = recipe.image_size or architecture.image_size
        path = job.run.artifact("model", STUDENT.get(job.run.inputs["model"].identity.verb, f"{recipe.select}.safetensors"))
        weights = checkpoint.load(path)[0]
        classifier = classifier_for(architecture, recipe, len(job.manifest.classes), weights)
        load_classifier(classifier, weights, str(path))
        classifier.to(job.processes.device).eval()
        batch, statistics = job.batch_per_process, params.normalisation
        metrics = evaluate(classifier, recipe.evaluation_resize, size, recipe.precision, job.manifest, statistics, job.processes, batch)
        if job.processes.leads:
            print(f"evaluate {args.row} {args.column}: " + ", ".join(f"{name} {value:.2f}" for name, value in metrics.items()))
        job.save_metrics(metrics)
        job.finish(metrics)
