"""Train a semantic segmenter, from a student or from random weights."""

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--row", required=True, help="row of the table")
    parser.add_argument("--seed", required=True, type=int, help="seed of this training")
    parser.add_argument("--data", type=Path, metavar="RECEIPT", help="receipt of the prepared data (default: the planned one)")
    parser.add_argument("--start", type=Path, metavar="RECEIPT", help="receipt of the student to start from")
    parser.add_argument("--receipt", type=Path, metavar="FILE", help="where the receipt goes: its planned place, which is the default")


def run(args: argparse.Namespace) -> None:
    from torch import nn

    from dbot.models.pyramid import dense_groups
    from dbot.plan import MODEL
    from dbot.tasks.segment import begin_segmenter, evaluate_segmentation, segment_task
    from dbot.train.task import Metrics
    from dbot.verbs.training import student_of, training

    with training(args, "segment", row=args.row, seed=str(args.seed)) as job:
        params, row = job.plan.params, job.plan.params.rows[args.row]
        architecture, recipe, statistics = params.architectures[row.architecture], params.recipes.segment[row.recipe], params.normalisation
        student, source = student_of(job)
        seed = recipe.seed + args.seed
        segmenter = begin_segmenter(architecture, recipe, len(job.manifest.classes), seed, student, source)

        def measure(model: nn.Module) -> Metrics:
            assert model is segmenter
            return evaluate_segmentation(segmenter, recipe, job.manifest, statistics, job.processes, job.batch_per_process).metrics

        groups = dense_groups(segmenter, "pyramid", recipe.optimizer)
        task = segment_task(f"segment {args.row}", segmenter, recipe, seed, job.manifest, statistics, groups, measure)
        outcome = job.train(task)

        about = {
            "kind": "segmenter",
            "row": args.row,
            "seed": args.seed,
            "design": recipe.design,
            "architecture": architecture.model_dump(),
            "recipe": recipe.model_dump(),
            "classes": job.manifest.classes,
        }
        job.save(MODEL, segmenter.state_dict(), about)
        job.finish({"loss": outcome.history[-1]["loss"], "epochs": recipe.epochs, "steps": outcome.steps})
