"""Fine-tune a classifier, from a student, from another row's classifier, or from random weights."""

import argparse
from pathlib import Path
from typing import Any


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--row", required=True, help="row of the table")
    parser.add_argument("--seed", required=True, type=int, help="seed of this fine-tuning")
    parser.add_argument("--data", type=Path, metavar="RECEIPT", help="receipt of the prepared data (default: the planned one)")
    parser.add_argument("--start", type=Path, metavar="RECEIPT", help="receipt of the student or classifier to start from")
    parser.add_argument("--receipt", type=Path, metavar="FILE", help="where the receipt goes (default: the planned place)")


def run(args: argparse.Namespace) -> None:
    from dbot.models import checkpoint
    from dbot.models.classifier import load_classifier, load_encoder
    from dbot.plan import STUDENT
    from dbot.tasks.classify import classifier_for, finetune_task, initialise_classifier
    from dbot.verbs.training import training

    with training(args, "finetune", row=args.row, seed=str(args.seed)) as job:
        params, row = job.plan.params, job.plan.params.rows[args.row]
        architecture, recipe = params.architectures[row.architecture], params.recipes.finetune[row.recipe]
        seed = recipe.seed + args.seed
        start = job.run.inputs.get("start")
        weights, about, source = None, dict[str, Any](), ""
        if start is not None:
            path = job.run.artifact("start", STUDENT.get(start.identity.verb, "best.safetensors"))
            (weights, about), source = checkpoint.load(path), str(path)
        classifier = classifier_for(architecture, recipe, len(job.manifest.classes), weights, recipe.drop_path)
        initialise_classifier(classifier, recipe, seed)
        if weights is not None and about["kind"] == "classifier":
            # It goes on at another resolution with its head; the published code draws the head anew.
            load_classifier(classifier, weights, source)
        elif weights is not None:
            load_encoder(classifier, checkpoint.part(weights, "encoder."), source)
        batch = job.batch_per_process
        task = finetune_task(f"finetune {args.row}", classifier, recipe, seed, job.manifest, params.normalisation, job.processes, batch)
        outcome = job.train(task)

        about = {
            "kind": "classifier",
            "row": args.row,
            "seed": args.seed,
            "design": recipe.design,
            "image_size": classifier.patch_embed.img_size[0],
            "pooling": recipe.pooling,
            "classes": job.manifest.classes,
            "architecture": architecture.model_dump(),
        }
        job.save("last.safetensors", classifier.state_dict(), about)
        job.save("best.safetensors", outcome.best or classifier.state_dict(), about)
        best = max(metrics["top1"] for metrics in outcome.history if "top1" in metrics)
        job.finish({"last_top1": outcome.history[-1]["top1"], "best_top1": best, "epochs": recipe.epochs, "steps": outcome.steps})
