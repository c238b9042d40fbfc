"""Measuring one cell of the table."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbot.base.errors import UserError
from dbot.flops import classifier as classifier_cost
from dbot.jobs.dense import DenseTraining
from dbot.jobs.detect import DETECT
from dbot.jobs.experiment import Experiment
from dbot.jobs.finetune import FINETUNE, classifier
from dbot.jobs.kind import DATA, MEASURED, ROW, Checkpoint, Input, Job, Key, Measurement, Running
from dbot.jobs.prepare import PREPARE
from dbot.jobs.segment import SEGMENT
from dbot.jobs.work import Estimate, Pass, Work, inference
from dbot.params.rows import COLUMNS, Column

if TYPE_CHECKING:
    from dbot.models.subject import Subject
    from dbot.train.task import Metrics

RELIABILITY = "reliability.csv"
"""Of a classifier: by bin of confidence, how many images there are, and how many of them are right."""
GALLERY = "gallery.jpg"
"""Of a dense model: validation images with truth and prediction."""
DENSE: Mapping[Column, DenseTraining[Any]] = {kind.column: kind for kind in (DETECT, SEGMENT)}
"""By dense column, the kind of job that trains its model."""
BESIDE: Mapping[Column, tuple[str, ...]] = {
    "cls": (RELIABILITY,),
    DETECT.column: ("detections.json", "categories.csv"),
    SEGMENT.column: ("categories.csv",),
}
"""By column, what a measurement leaves beside its metrics."""
MEASURED_WITH = {"design", "image_size", "pooling", "evaluation_resize", "select", "precision"}
"""Fields of a fine-tuning recipe that decide how its classifier is measured."""
TRAINING_ONLY = {
    *("epochs", "warmup_epochs", "batch_size", "optimizer", "drop_path", "compile", "shortcuts", "deterministic", "non_finite", "seed"),
    *("augmentation", "evaluate_every"),
}
"""Fields of a dense recipe that say nothing of how its model is measured."""
TIMED_SECONDS = 0.5
"""How long the forward pass of a classifier is timed, at least."""


class Evaluate(Measurement):
    """Measure one cell of the table on the validation images, every image counted once."""

    name = "evaluate"
    title = "measure one cell of the table"
    order = 90
    key = (
        ROW,
        Key("column", "column of the table", choices=COLUMNS),
        Key("seed", "seed of the training that is measured", number=True),
    )
    inputs = (DATA, Input("model", "receipt of the trained model"))
    pictures = (GALLERY,)

    def declare(self, experiment: Experiment, row: str, column: Column, seed: str | int) -> Job:
        params, declared = experiment.params, experiment.row(row)
        experiment.require_column(row, column)
        if column in declared.columns_from:
            return self.declare(experiment, declared.columns_from[column], column, seed)
        inputs = {"data": PREPARE.declare(experiment, getattr(params.uses, column))}
        if column in DENSE:
            inputs["model"] = DENSE[column].declare(experiment, row, seed)
            unused = dict.fromkeys(TRAINING_ONLY, True) | DENSE[column].unused(params)
            section, recipe = DENSE[column].name, DENSE[column].recipe(params, row).model_dump(exclude=unused)
        else:
            inputs["model"] = classifier(experiment, row, seed)
            section, recipe = FINETUNE.name, params.recipes.finetune[declared.recipe].model_dump(include=MEASURED_WITH)
        settings, sources = experiment.of_recipe(declared, section, recipe)
        if column in DENSE:
            sources += DENSE[column].with_data(experiment, settings)
        key = {"row": row, "column": column, "seed": str(seed)}
        artifacts = (MEASURED, *BESIDE[column])
        return Job(self, experiment.scale, key, inputs, settings, tuple(sources), artifacts, declared.architecture)

    def reads(self, job: Job, role: str) -> tuple[str, ...]:
        select = job.settings["recipe"].get("select")
        return (f"{select}.safetensors",) if job.inputs[role].kind is FINETUNE else super().reads(job, role)

    def run(self, context: Running) -> None:
        job = context.job
        measures = {"cls": _classifier, DETECT.column: _detector, SEGMENT.column: _segmenter}
        model = job.inputs["model"]
        made = model.kind.model(model, context.params)
        assert made is not None
        weights = context.checkpoint("model", made.file)
        assert weights is not None
        metrics = measures[job.key["column"]](context, weights, job.key["row"])
        if context.processes.leads:
            what = f"evaluate {job.key['row']} {job.key['column']}"
            print(f"{what}: " + ", ".join(f"{name} {value:.2f}" for name, value in metrics.items()))
        context.save_metrics(metrics)
        left = (*job.artifacts, *(self.pictures if job.key["column"] in DENSE else ()))
        context.artifacts.extend(name for name in left if name not in context.artifacts)
        context.finish(metrics)

    def work(self, estimate: Estimate, job: Job) -> Work:
        row = job.key["row"]
        dense = DENSE.get(job.key["column"])  # type: ignore[call-overload]
        if dense is not None:
            return inference(dense.measured(estimate, row, 1))
        params, dataset = estimate.params, estimate.params.uses.cls
        images, recipe = estimate.measured(dataset, 1), params.recipes.finetune[params.rows[row].recipe]
        cost = classifier_cost(estimate.architecture(row, recipe.image_size), estimate.classes(dataset))
        return inference(None if images is None else Pass(images, cost.inference(recipe.precision)))


EVALUATE = Evaluate()


def classifier_of(context: Running, model: Checkpoint, row: str) -> "Subject":
    """A row's classifier, on the job's device.

    Args:
        context: of the job that measures it.
        model: its checkpoint.
        row: whose it is.
    """
    from dbot.models.classifier import load_classifier
    from dbot.models.subject import classifier_subject
    from dbot.tasks.classify import classifier_for

    params, declared = context.params, context.params.rows[row]
    architecture, recipe = params.architectures[declared.architecture], params.recipes.finetune[declared.recipe]
    names = list(model.about["classes"])
    network = classifier_for(architecture, recipe, len(names), model.weights)
    load_classifier(network, model.weights, model.source)
    network.to(context.processes.device)
    size = recipe.image_size or architecture.image_size
    return classifier_subject(network, model.source, names, size, recipe.evaluation_resize, params.normalisation, recipe.pooling)


def _classifier(context: Running, model: Checkpoint, row: str) -> "Metrics":
    """Top-1 and top-5 accuracy, calibration error and Brier score, weights and FLOPs; beside them the bins that the calibration error
    comes from. How fast the network is depends on the device, so the execution says it."""
    from dbot.base.files import write_whole
    from dbot.measure.classification import reliability_csv
    from dbot.models.subject import parameters
    from dbot.tasks.classify import evaluate
    from dbot.tasks.measuring.cost import GIGA, flops, images_per_second
    from dbot.tasks.measuring.findings import Run

    context.manifest.require_labels("an evaluation")
    subject, recipe = classifier_of(context, model, row), context.params.recipes.finetune[context.params.rows[row].recipe]
    if subject.outputs != len(context.manifest.classes):
        which = f"has {subject.outputs:,} outputs, and {context.manifest.title} {len(context.manifest.classes):,} classes"
        raise UserError(f"{model.source}: {which}; fine-tune it on that set")
    batch, statistics, processes = context.batch_per_process, subject.statistics, context.processes
    network, size, precision = subject.network, subject.image_size, recipe.precision
    found = evaluate(network, recipe.evaluation_resize, size, precision, context.manifest, statistics, processes, batch)
    if context.processes.leads:
        write_whole(context.job.folder / RELIABILITY, reliability_csv(found.reliability_3B).encode())
        context.images_per_second = images_per_second(subject, Run(processes, batch, precision), TIMED_SECONDS)
    cost = {"parameters": float(parameters(subject)), "gflops": flops(subject, processes.device) / GIGA}
    return {**found.metrics, **cost}


def _detector(context: Running, model: Checkpoint, row: str) -> "Metrics":
    """COCO's average precisions of boxes and of masks, if there are any; beside them detections, figures by category and a gallery."""
    from dbot.base.files import write_whole
    from dbot.data.objects.annotations import ground_truth
    from dbot.data.objects.loading import ValidationViews
    from dbot.data.objects.results import overlaps_of, score, write_results
    from dbot.pictures.detection import detection_gallery
    from dbot.tasks.detect import detector_of, evaluate_detection

    params, folder, processes = context.params, context.job.folder, context.processes
    detector, _ = detector_of(*model)
    if detector.has_masks != context.manifest.masks:
        which, which_not = ("masks", "boxes alone") if detector.has_masks else ("boxes alone", "masks too")
        raise UserError(f"{model.source}: is a detector of {which}, and {context.manifest.folder} has {which_not}; train one on that set")
    recipe = DETECT.recipe(params, row)
    views = ValidationViews(context.manifest, recipe.inference, processes.rank, processes.world)
    detector.to(processes.device)
    found = evaluate_detection(detector, recipe, views, params.normalisation, model.about["category_ids"], processes)
    if not processes.leads:
        return {}
    scores = score(ground_truth(context.manifest), found, overlaps_of(context.manifest.masks))
    write_results(folder / "detections.json", found)
    write_whole(folder / GALLERY, detection_gallery(context.manifest, found, model.about["category_ids"]))
    _write_categories(folder, scores.categories)
    return scores.summary


def _segmenter(context: Running, model: Checkpoint, row: str) -> "Metrics":
    """Mean intersection over union; beside it the figures by class and a gallery."""
    from torch import Tensor

    from dbot.base.files import write_whole
    from dbot.data.labelmaps.pairs import Pairs
    from dbot.pictures.segmentation import Labelled, ranked, segmentation_gallery
    from dbot.pictures.sheet import Ranked
    from dbot.tasks.segment import evaluate_segmentation, segmenter_of
    from dbot.tasks.windows import label_image

    params = context.params
    segmenter, _ = segmenter_of(*model)
    recipe = SEGMENT.recipe(params, row)
    segmenter.to(context.processes.device)
    statistics, processes, folder = params.normalisation, context.processes, context.job.folder
    ranks: list[Ranked] = []

    def watch(place: int, truth: Tensor, predicted: Tensor) -> None:
        if (one := ranked(place, truth, predicted)) is not None:
            ranks.append(one)

    def labelled(place: int) -> Labelled:
        image, truth = pairs[place]
        seen = image.to(processes.device)
        predicted = label_image(segmenter, seen, truth.shape, recipe.inference, statistics, context.batch_per_process)
        return Labelled(pairs.paths[place], image, truth, predicted.cpu())

    scores = evaluate_segmentation(segmenter, recipe, context.manifest, statistics, processes, context.batch_per_process, watch)
    ranks = processes.collect(ranks)
    if processes.leads:
        pairs = Pairs(context.manifest, "validation")
        write_whole(folder / GALLERY, segmentation_gallery(context.manifest.title, ranks, labelled, context.manifest.classes))
        _write_categories(folder, {name: {"iou": iou} for name, iou in zip(context.manifest.classes, scores.iou, strict=True)})
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
