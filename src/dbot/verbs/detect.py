"""Train a detector (boxes and instance masks), from a student or from random weights."""

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

    from dbot.data.objects.annotations import ground_truth
    from dbot.data.objects.loading import TrainingObjects, ValidationViews
    from dbot.data.objects.score import score
    from dbot.models.pyramid import dense_groups
    from dbot.plan import MODEL
    from dbot.tasks.detect import begin_detector, detect_task, evaluate_detection
    from dbot.train.task import Metrics
    from dbot.verbs.training import student_of, training

    with training(args, "detect", row=args.row, seed=str(args.seed)) as job:
        params, row = job.plan.params, job.plan.params.rows[args.row]
        architecture, recipe, statistics = params.architectures[row.architecture], params.recipes.detect[row.recipe], params.normalisation
        truth = ground_truth(job.manifest)
        category_ids = [category["id"] for category in truth["categories"]]
        student, source = student_of(job)
        seed = recipe.seed + args.seed
        detector = begin_detector(architecture, recipe, len(category_ids), seed, student, source)
        images = TrainingObjects(job.manifest, recipe.augmentation, seed)

        def measure(model: nn.Module) -> Metrics:
            views = ValidationViews(job.manifest, recipe.inference, job.processes.rank, job.processes.world)
            found = evaluate_detection(model, recipe, views, statistics, category_ids, job.processes)
            return score(truth, found).summary if job.processes.leads else {}

        groups = dense_groups(detector, "pyramid", recipe.optimizer)
        task = detect_task(f"detect {args.row}", detector, recipe, seed, images, statistics, groups, measure)
        outcome = job.train(task)

        about = {
            "kind": "detector",
            "row": args.row,
            "seed": args.seed,
            "design": recipe.design,
            "architecture": architecture.model_dump(),
            "recipe": recipe.model_dump(),
            "classes": job.manifest.classes,
            "category_ids": category_ids,
        }
        job.save(MODEL, detector.state_dict(), about)
        job.finish({"loss": outcome.history[-1]["loss"], "epochs": recipe.epochs, "steps": outcome.steps})
