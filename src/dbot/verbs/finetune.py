"""Fine-tune a classifier, from a student, from another row's classifier, or from random weights."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbot.params.recipes import AsymmetricFinetune, SymmetricFinetune
    from dbot.train.loop import Outcome
    from dbot.verbs.training import TrainingJob


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--row", required=True, help="row of the table")
    parser.add_argument("--seed", required=True, type=int, help="seed of this fine-tuning")
    parser.add_argument("--data", type=Path, metavar="RECEIPT", help="receipt of the prepared data (default: the planned one)")
    parser.add_argument("--start", type=Path, metavar="RECEIPT", help="receipt of the student or classifier to start from")
    parser.add_argument("--receipt", type=Path, metavar="FILE", help="where the receipt goes: its planned place, which is the default")


def run(args: argparse.Namespace) -> None:
    from dbot.verbs.training import training

    with training(args, "finetune", row=args.row, seed=str(args.seed)) as job:
        params = job.plan.params
        recipe = params.recipes.finetune[params.rows[args.row].recipe]
        weights, about, outcome = fine_tune(job, recipe, f"finetune {args.row}", args.row, args.seed)
        job.save("last.safetensors", weights, about)
        job.save("best.safetensors", outcome.best or weights, about)
        job.finish(figures(outcome, recipe.epochs))


def fine_tune(
    job: "TrainingJob", recipe: "AsymmetricFinetune | SymmetricFinetune", title: str, row: str, seed: int
) -> tuple[dict[str, Any], dict[str, Any], "Outcome"]:
    """Train a row's classifier on the job's data; its last weights, what a checkpoint says of it, and how the training went."""
    from dbot.models import checkpoint
    from dbot.models.classifier import load_classifier, load_encoder
    from dbot.plan import STUDENT
    from dbot.tasks.classify import classifier_for, finetune_task, initialise_classifier
    from dbot.verbs.training import teacher_of

    params = job.plan.params
    architecture, statistics = params.architectures[params.rows[row].architecture], params.normalisation
    start = job.run.inputs.get("start")
    weights, about, source = None, dict[str, Any](), ""
    if start is not None:
        path = job.run.artifact("start", STUDENT.get(start.verb, "best.safetensors"))
        (weights, about), source = checkpoint.load(path), str(path)
    else:
        weights, source = teacher_of(job)
    classifier = classifier_for(architecture, recipe, len(job.manifest.classes), weights, recipe.drop_path)
    initialise_classifier(classifier, recipe, recipe.seed + seed)
    if weights is not None and about.get("kind") == "classifier":
        # It goes on at another resolution with its head; the published code draws the head anew.
        load_classifier(classifier, weights, source)
    elif weights is not None:
        load_encoder(classifier, checkpoint.part(weights, "encoder."), source)
    batch = job.batch_per_process
    outcome = job.train(finetune_task(title, classifier, recipe, recipe.seed + seed, job.manifest, statistics, job.processes, batch))
    about = {
        "kind": "classifier",
        "row": row,
        "seed": seed,
        "design": recipe.design,
        "image_size": classifier.patch_embed.img_size[0],
        "pooling": recipe.pooling,
        "classes": job.manifest.classes,
        "architecture": architecture.model_dump(),
    }
    return classifier.state_dict(), about, outcome


def figures(outcome: "Outcome", epochs: int) -> dict[str, float | int]:
    """What a receipt says of a fine-tuning."""
    best = max(metrics["top1"] for metrics in outcome.history if "top1" in metrics)
    return {"last_top1": outcome.history[-1]["top1"], "best_top1": best, "epochs": epochs, "steps": outcome.steps}
