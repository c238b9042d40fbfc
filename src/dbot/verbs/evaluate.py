"""Measure one cell of the table on the validation images, every image counted once."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dbot.train.task import Metrics
    from dbot.verbs.training import TrainingJob


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--row", required=True, help="row of the table")
    parser.add_argument("--column", required=True, choices=["cls", "det", "seg"], help="column of the table")
    parser.add_argument("--seed", required=True, type=int, help="seed of the training that is measured")
    parser.add_argument("--data", type=Path, metavar="RECEIPT", help="receipt of the prepared data (default: the planned one)")
    parser.add_argument("--model", type=Path, metavar="RECEIPT", help="receipt of the trained model")
    parser.add_argument("--receipt", type=Path, metavar="FILE", help="where the receipt goes: its planned place, which is the default")


def run(args: argparse.Namespace) -> None:
    from dbot.verbs.training import training

    measures = {"cls": _classifier, "det": _detector, "seg": _segmenter}
    with training(args, "evaluate", row=args.row, column=args.column, seed=str(args.seed)) as job:
        metrics = measures[args.column](job, args.row)
        if job.processes.leads:
            print(f"evaluate {args.row} {args.column}: " + ", ".join(f"{name} {value:.2f}" for name, value in metrics.items()))
        job.save_metrics(metrics)
        job.artifacts += [name for name in job.run.job.artifacts if name not in job.artifacts]
        job.finish(metrics)


def _classifier(job: "TrainingJob", name: str) -> "Metrics":
    """Top-1 and top-5 accuracy."""
    from dbot.models import checkpoint
    from dbot.models.classifier import load_classifier
    from dbot.plan import STUDENT
    from dbot.tasks.classify import classifier_for, evaluate

    params, row = job.plan.params, job.plan.params.rows[name]
    architecture, recipe = params.architectures[row.architecture], params.recipes.finetune[row.recipe]
    size = recipe.image_size or architecture.image_size
    path = job.run.artifact("model", STUDENT.get(job.run.inputs["model"].verb, f"{recipe.select}.safetensors"))
    weights = checkpoint.load(path)[0]
    classifier = classifier_for(architecture, recipe, len(job.manifest.classes), weights)
    load_classifier(classifier, weights, str(path))
    classifier.to(job.processes.device).eval()
    batch, statistics = job.batch_per_process, params.normalisation
    return evaluate(classifier, recipe.evaluation_resize, size, recipe.precision, job.manifest, statistics, job.processes, batch)


def _detector(job: "TrainingJob", name: str) -> "Metrics":
    """COCO's average precisions of boxes and masks; beside them the detections, the figures by category and a gallery."""
    from dbot.base.files import write_whole
    from dbot.data.objects.annotations import ground_truth
    from dbot.data.objects.loading import ValidationViews
    from dbot.data.objects.results import write_results
    from dbot.data.objects.score import score
    from dbot.models import checkpoint
    from dbot.pictures.detection import detection_gallery
    from dbot.plan import GALLERY, MODEL
    from dbot.tasks.detect import detector_of, evaluate_detection

    params, folder, processes = job.plan.params, job.run.job.folder, job.processes
    path = job.run.artifact("model", MODEL)
    weights, about = checkpoint.load(path)
    detector, _ = detector_of(weights, about, str(path))
    recipe = params.recipes.detect[params.rows[name].recipe]
    views = ValidationViews(job.manifest, recipe.inference, processes.rank, processes.world)
    detector.to(processes.device)
    found = evaluate_detection(detector, recipe, views, params.normalisation, about["category_ids"], processes)
    if not processes.leads:
        return {}
    scores = score(ground_truth(job.manifest), found)
    write_results(folder / "detections.json", found)
    write_whole(folder / GALLERY, detection_gallery(job.manifest, found, about["category_ids"]))
    _write_categories(folder, scores.categories)
    return scores.summary


def _segmenter(job: "TrainingJob", name: str) -> "Metrics":
    """Mean intersection over union; beside it the figures by class and a gallery."""
    from torch import Tensor

    from dbot.base.files import write_whole
    from dbot.data.labelmaps.pairs import Pairs
    from dbot.models import checkpoint
    from dbot.pictures.choice import Ranked
    from dbot.pictures.segmentation import Labelled, ranked, segmentation_gallery
    from dbot.plan import GALLERY, MODEL
    from dbot.tasks.segment import evaluate_segmentation, segmenter_of
    from dbot.tasks.windows import label_image

    params = job.plan.params
    path = job.run.artifact("model", MODEL)
    weights, about = checkpoint.load(path)
    segmenter, _ = segmenter_of(weights, about, str(path))
    recipe = params.recipes.segment[params.rows[name].recipe]
    segmenter.to(job.processes.device)
    statistics, processes, folder = params.normalisation, job.processes, job.run.job.folder
    ranks: list[Ranked] = []

    def watch(place: int, truth: Tensor, predicted: Tensor) -> None:
        if (one := ranked(place, truth, predicted)) is not None:
            ranks.append(one)

    def labelled(place: int) -> Labelled:
        image, truth = pairs[place]
        seen = image.to(processes.device)
        predicted = label_image(segmenter, seen, truth.shape, recipe.inference, statistics, job.batch_per_process)
        return Labelled(pairs.paths[place], image, truth, predicted.cpu())

    scores = evaluate_segmentation(segmenter, recipe, job.manifest, statistics, processes, job.batch_per_process, watch)
    ranks = processes.collect(ranks)
    if processes.leads:
        pairs = Pairs(job.manifest, "validation")
        write_whole(folder / GALLERY, segmentation_gallery(job.manifest.title, ranks, labelled, job.manifest.classes))
        _write_categories(folder, {name: {"iou": iou} for name, iou in zip(job.manifest.classes, scores.iou, strict=True)})
    return scores.metrics


def _write_categories(folder: Path, figures: "Mapping[str, Mapping[str, float | None]]") -> None:
    """`categories.csv`: a line for each class, with what was measured of it; empty where nothing could be."""
    import csv
    import io

    from dbot.base.files import write_whole

    names = list(dict.fromkeys(name for measured in figures.values() for name in measured))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["category", *names])
    for category, measured in figures.items():
        table.writerow([category, *("" if (value := measured.get(name)) is None else f"{value:.4f}" for name in names)])
    write_whole(folder / "categories.csv", text.getvalue().encode())
