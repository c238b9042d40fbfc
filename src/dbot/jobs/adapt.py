"""Adapting a linear layer to a frozen network: from a few images of each class, and from label maps to patch tokens."""

from dataclasses import replace
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from dbot.base.errors import UserError
from dbot.jobs.experiment import Experiment
from dbot.jobs.frozen import FrozenMeasurement
from dbot.jobs.kind import DATA, MEASURED, ROW, Input, Job, Key, Running
from dbot.jobs.prepare import PREPARE
from dbot.jobs.work import Estimate, Pass, Work, inference

if TYPE_CHECKING:
    from dbot.models.teachers.teacher import Teacher
    from dbot.tasks.measuring.findings import Run
    from dbot.train.task import Metrics

FEW_SHOT, SEGMENTATION = "few-shot", "segmentation"
TASKS = (FEW_SHOT, SEGMENTATION)
LOOKED_WITH = {"image_size", "precision"}
"""Fields of `probes` that say how a frozen network sees images, whatever is measured."""


class Adapt(FrozenMeasurement):
    """Measure what one linear layer makes of a frozen network: classes from a few images of each, or label maps from patch tokens."""

    name = "adapt"
    title = "few-shot classification and linear segmentation by a frozen stage or teacher"
    order = 105
    key = (
        ROW,
        Key("task", "what the layer learns", choices=TASKS),
        Key("stage", "after which stage; 0: the row's first teacher", number=True),
    )
    inputs = (DATA, Input("student", "receipt of the stage whose student is measured"))
    section = "probes"
    artifacts = (MEASURED,)
    left_out = ("the training of the linear layer",)

    def declare(self, experiment: Experiment, row: str, task: str, stage: str | int) -> Job:  # type: ignore[override]
        if task not in TASKS:
            raise UserError(f"--task is {task!r}: must be one of: {', '.join(TASKS)}")
        params, frozen = experiment.params, super().declare(experiment, row, stage)
        probes, uses = params.probes, params.uses
        settings = {name: value for name, value in frozen.settings.items() if name != self.section}
        sources = [path for path in frozen.sources if path != (self.section,)]
        looked = LOOKED_WITH | ({"evaluation_resize", "pooling"} if task == FEW_SHOT else set())
        settings[self.section] = probes.model_dump(include=looked)
        sources += ((self.section, field) for field in sorted(looked))
        if task == FEW_SHOT:
            settings["few_shot"] = params.few_shot.model_dump()
            settings["solver"] = probes.linear.model_dump(include={"tolerance", "iterations"})
            sources += [("few_shot",), *((self.section, "linear", field) for field in ("tolerance", "iterations"))]
        else:
            settings["linear_segmentation"] = params.linear_segmentation.model_dump()
            sources.append(("linear_segmentation",))
        inputs = {**frozen.inputs, "data": PREPARE.declare(experiment, uses.cls if task == FEW_SHOT else uses.seg)}
        key = {"row": row, "task": task, "stage": frozen.key["stage"]}
        return replace(frozen, key=key, inputs=inputs, settings=settings, sources=tuple(sources))

    def run(self, context: Running) -> None:
        from dbot.tasks.measuring.findings import Run

        params, job = context.params, context.job
        network = self.network(context, params.probes.image_size).to(context.processes.device)
        run = Run(context.processes, context.batch_per_process, params.probes.precision, params.execution.progress_every_seconds)
        metrics = (_few_shot if job.key["task"] == FEW_SHOT else _segmentation)(context, network, run)
        context.save_metrics(metrics)
        if context.processes.leads:
            print(f"{job.name}: " + ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()))
        context.finish({**metrics, "network_sha256": network.digest()})

    def images(self, estimate: Estimate) -> int | None:
        return estimate.every(estimate.params.uses.seg)

    def precision(self, estimate: Estimate) -> str:
        return estimate.params.probes.precision

    def image_size(self, estimate: Estimate) -> int | None:
        return estimate.params.probes.image_size

    def work(self, estimate: Estimate, job: Job) -> Work:
        found = super().work(estimate, job)
        if job.key["task"] == SEGMENTATION:
            return found
        params = estimate.params
        train, validation = (estimate.counts[params.uses.cls, part] for part in ("train", "validation"))
        if train is None or validation is None:
            return Work(images=None, left_out=found.left_out)
        drawn = sum(params.few_shot.images) * params.few_shot.draws * estimate.classes(params.uses.cls)
        images = min(train, drawn) + validation
        if found.inference is None:
            return replace(found, images=images)
        return inference(Pass(images, found.inference.flops), found.left_out)


ADAPT = Adapt()


def _few_shot(context: Running, network: "Teacher", run: "Run") -> "Metrics":
    """`few_<n>`, top-1 of the validation images in percent after n images of each class: mean over the draws; `few_<n>_sd`, in points.

    Features are computed of those training images alone that any draw has.
    """
    import numpy as np

    from dbot.data.labelled import LabelledPixels
    from dbot.tasks.features import by_teacher, features
    from dbot.tasks.measuring.frozen import drawn, few_shot_accuracy

    params, manifest, config = context.params, context.manifest, context.params.few_shot
    manifest.require_labels("a few-shot probe")
    probes, describer = params.probes, by_teacher(network, params.probes.pooling)
    train, validation = manifest.samples("train"), manifest.samples("validation")
    draws = drawn(train.labels, config)
    any_drawn = np.unique(np.concatenate([numbers for chosen in draws.values() for numbers in chosen]))
    here = {each: [np.searchsorted(any_drawn, numbers) for numbers in chosen] for each, chosen in draws.items()}
    seen, validated = (
        features(
            describer,
            LabelledPixels(manifest.root, samples, numbers, manifest.upright),
            probes.evaluation_resize,
            probes.precision,
            run.processes,
            run.batch,
            run.progress_seconds,
        )
        for samples, numbers in ((train, any_drawn), (validation, np.arange(len(validation))))
    )
    found = few_shot_accuracy(seen, validated, len(manifest.classes), here, config.strength, probes.linear, run.processes)
    metrics: Metrics = {}
    for each, top1 in found.items():
        metrics |= {f"few_{each}": fmean(top1), f"few_{each}_sd": stdev(top1)}
    return metrics


def _segmentation(context: Running, network: "Teacher", run: "Run") -> "Metrics":
    """`miou`, `macc` and `aacc` of the validation images, in percent."""
    from dbot.data.labelmaps.pairs import Pairs
    from dbot.models.subject import whole_image
    from dbot.tasks.measuring.segmentation import linear_segmentation

    manifest, config = context.manifest, context.params.linear_segmentation
    train, validation = Pairs(manifest, "train"), Pairs(manifest, "validation")
    return linear_segmentation(network, whole_image(network.image_size), train, validation, len(manifest.classes), config, run).metrics
