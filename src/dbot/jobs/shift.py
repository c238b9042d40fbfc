"""Measuring a classifier on a set whose images or labels are shifted from those that it learnt from."""

from pathlib import Path
from typing import TYPE_CHECKING

from dbot.base.errors import UserError
from dbot.flops import classifier as classifier_cost
from dbot.jobs.evaluate import MEASURED_WITH, classifier_of
from dbot.jobs.experiment import Experiment, whole_number
from dbot.jobs.finetune import FINETUNE, classifier
from dbot.jobs.kind import DATA, MEASURED, ROW, Input, Job, Key, Measurement, Running
from dbot.jobs.prepare import PREPARE
from dbot.jobs.work import Estimate, Pass, Work, inference
from dbot.params.probes import ShiftSet

if TYPE_CHECKING:
    from dbot.data.labelled import LabelledPixels
    from dbot.measure.outputs import Matching
    from dbot.models.subject import Subject
    from dbot.tasks.measuring.findings import Run
    from dbot.train.task import Metrics


class Shift(Measurement):
    """Measure a row's classifier on a set that is shifted from its own: new images, renditions, corruptions, other labels."""

    name = "shift"
    title = "measure a classifier on a set with shifted images or labels"
    order = 95
    key = (
        ROW,
        Key("dataset", "data set under `shift.sets` of params.yaml"),
        Key("seed", "seed of the fine-tuning that is measured", number=True),
    )
    inputs = (DATA, Input("model", "receipt of the trained classifier"))

    def declare(self, experiment: Experiment, row: str, dataset: str, seed: str | int) -> Job:
        params, declared = experiment.params, experiment.row(row)
        if dataset not in params.shift.sets:
            known = ", ".join(params.shift.sets) or "none"
            raise UserError(f"{experiment.resolved.file}: there is no {dataset!r} under `shift.sets`; declared are: {known}")
        if "cls" in declared.columns_from:
            return self.declare(experiment, declared.columns_from["cls"], dataset, seed)
        inputs = {"data": PREPARE.declare(experiment, dataset), "model": classifier(experiment, row, seed)}
        recipe = params.recipes.finetune[declared.recipe].model_dump(include=MEASURED_WITH)
        settings, sources = experiment.of_recipe(declared, FINETUNE.name, recipe)
        settings["shift"] = of_set(experiment, dataset).model_dump(exclude={"title"})
        sources += (("shift", "figures", dataset, field) for field in settings["shift"])
        key = {"row": row, "dataset": dataset, "seed": str(whole_number("seed", seed))}
        return Job(self, experiment.scale, key, inputs, settings, tuple(sources), (MEASURED,), declared.architecture)

    def reads(self, job: Job, role: str) -> tuple[str, ...]:
        select = job.settings["recipe"].get("select")
        return (f"{select}.safetensors",) if job.inputs[role].kind is FINETUNE else super().reads(job, role)

    def run(self, context: Running) -> None:
        import numpy as np

        from dbot.base.digest import file_digest
        from dbot.data.labelled import LabelledPixels
        from dbot.measure.outputs import matched
        from dbot.tasks.measuring.findings import Run

        job, params = context.job, context.params
        context.manifest.require_labels("measuring a classifier on it")
        model = job.inputs["model"]
        made = model.kind.model(model, params)
        assert made is not None
        weights = context.checkpoint("model", made.file)
        assert weights is not None
        row = job.key["row"]
        subject, precision = classifier_of(context, weights, row), params.recipes.finetune[params.rows[row].recipe].precision
        matching = matched(context.manifest.classes, subject.outputs, subject.names)
        samples = context.manifest.samples("validation")
        images = LabelledPixels(context.manifest.root, samples, np.arange(len(samples)), context.manifest.upright)
        run = Run(context.processes, context.batch_per_process, precision, params.execution.progress_every_seconds)
        declared, root = ShiftSet.model_validate(job.settings["shift"]), params.datasets[job.key["dataset"]].root
        labels = None if declared.labels is None else Path(root or "", declared.labels)
        metrics = measured(declared, subject, images, matching, run, labels)
        if context.processes.leads:
            what = f"shift {row} {job.key['dataset']}"
            print(f"{what}: " + ", ".join(f"{name} {value:.2f}" for name, value in metrics.items() if "/" not in name))
        context.save_metrics(metrics)
        lists = {} if labels is None else {"labels_sha256": file_digest(labels)}
        context.finish({**{name: value for name, value in metrics.items() if "/" not in name}, **lists})

    def work(self, estimate: Estimate, job: Job) -> Work:
        params, row = estimate.params, job.key["row"]
        images, recipe = estimate.measured(job.key["dataset"], 1), params.recipes.finetune[params.rows[row].recipe]
        cost = classifier_cost(estimate.architecture(row, recipe.image_size), estimate.classes(params.uses.cls))
        return inference(None if images is None else Pass(images, cost.inference(recipe.precision)))


SHIFT = Shift()


def of_set(experiment: Experiment, dataset: str) -> ShiftSet:
    """How a classifier is measured on a set."""
    return experiment.params.shift.figures.get(dataset, ShiftSet())


def measured(
    declared: ShiftSet, subject: "Subject", images: "LabelledPixels", matching: "Matching", run: "Run", labels: Path | None
) -> "Metrics":
    """What is measured of a classifier on a set, in percent where nothing else is said.

    `top1` and `top5` in any case, over `images`. Beside them, of a set whose labels are its folders: `validation_loss`, `ece` and
    `brier`; of corruptions: `mce` (the mean corruption error), `ce_<corruption>`, and `<corruption>/<severity>`, the errors.

    Args:
        declared: what is measured of it.
        subject: the classifier.
        images: of the set.
        matching: which output stands for which of its classes.
        run: how the classifier is run.
        labels: file of the lists of labels. None: ImageNet's, of which timm has a copy.

    Raises:
        UserError: the set is not what it is measured as.
    """
    from dbot.measure.robustness import ALEXNET, real_labels
    from dbot.models.released.envelope import silent
    from dbot.tasks.measuring.classification import classify, corrupted, relabelled

    say = print if run.processes.leads else silent
    if declared.score == "corruptions":
        found = corrupted(subject, images, matching, run, ALEXNET if declared.reference == "alexnet" else None, say)
        counts = sum(map(sum, found.images.values()))
        right = [
            (100 - error) * count for name, errors in found.errors.items() for error, count in zip(errors, found.images[name], strict=True)
        ]
        single = {f"{name}/{number}": error for name, errors in found.errors.items() for number, error in enumerate(errors, 1)}
        relative = {f"ce_{name}": value for name, value in found.relative.items()}
        return {"top1": sum(right) / counts, "mce": found.mean, **relative, "images": float(counts), **single}
    if declared.score == "real":
        if matching.outputs != list(range(subject.outputs)):
            raise UserError(
                f"{images.root}: its lists of labels are by number of the class, and the classifier's {subject.outputs:,} outputs are not "
                "its classes in their order; measure a classifier that was trained on these classes"
            )
        seen = relabelled(subject, images, real_labels(labels), run, say)
        return {"top1": seen.top1, "top5": seen.top5, "images": float(seen.images)}
    scores = classify(subject, images, matching, run, declared.outputs == "own")
    return {**scores.metrics, "images": float(scores.images)}
