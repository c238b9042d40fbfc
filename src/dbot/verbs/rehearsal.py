"""The trainings of a plan's jobs as they would begin, but on drawn images and from random weights."""

import contextlib
import io
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from dbot.data.embedded.draw import draw
from dbot.data.manifest import Manifest
from dbot.data.objects.loading import TrainingObjects
from dbot.data.prepare import prepare
from dbot.distill.boundary import Promoted, begin_stage
from dbot.distill.designs import DESIGNS
from dbot.models.checkpointing import checkpoint_blocks
from dbot.models.pyramid import dense_groups
from dbot.models.teachers.declared import foreign_teacher
from dbot.models.teachers.teacher import Teacher
from dbot.params.architectures import Architecture
from dbot.params.datasets import Check, Dataset, Embedded, Layout, Scene, Split
from dbot.params.teachers import RandomTeacher, RowTeacher, TimmTeacher
from dbot.plan import Job, Plan, transfer_recipe
from dbot.tasks.classify import classifier_for, finetune_task, initialise_classifier
from dbot.tasks.detect import begin_detector, detect_task
from dbot.tasks.pretrain import pretrain_task
from dbot.tasks.segment import begin_segmenter, segment_task
from dbot.train.distributed import Processes
from dbot.train.task import Task

TRAINING, VALIDATION = 40, 10
"""Images that are drawn."""
TYPICAL_SIDE = 480
"""Side in pixels of the images that stand for those of a set that is not drawn."""
CIFAR_SIDE = 32
SCENE = Scene(digits=[2, 6], sizes=[0.16, 0.45])


@dataclass(frozen=True)
class Rehearsal:
    """Makes the task of any training job of a plan.

    Args:
        plan: of a scale.
        folder: where images are drawn.
        processes: this process.
    """

    plan: Plan
    folder: Path
    processes: Processes

    def task(self, job: Job) -> Task:
        """A job's training.

        Raises:
            UserError: its teacher can't be had.
        """
        makers = {
            "distill": self._distill,
            "finetune": self._finetune,
            "transfer": self._finetune,
            "detect": self._detect,
            "segment": self._segment,
        }
        task = makers[job.verb](job)
        if self.plan.resources(job).checkpointing:
            checkpoint_blocks(task.model)
        return task

    def _distill(self, job: Job) -> Task:
        params, row, stage = self.plan.params, self.plan.params.rows[job.key["row"]], int(job.key["stage"])
        architecture, recipe = params.architectures[row.architecture], params.recipes.pretrain[row.recipe].of_stage(stage)
        # What a stage would keep of the one before takes no longer than what is drawn anew.
        student, teacher = begin_stage(architecture, recipe, stage, self._source(job), params.normalisation)
        teacher.to(self.processes.device)
        manifest = self._labelled(params.uses.pretrain)
        return pretrain_task(job.name, student, teacher, recipe, stage, manifest, params.normalisation)

    def _source(self, job: Job) -> RandomTeacher | Promoted | Teacher:
        """A teacher of the declared shape; its weights are random where they would have to be fetched or trained."""
        params, row, stage = self.plan.params, self.plan.params.rows[job.key["row"]], int(job.key["stage"])
        declared = params.teacher_of(row)
        if stage > 1:
            return self._student(job.key["row"])
        if isinstance(declared, RowTeacher):
            return self._student(declared.row)
        if isinstance(declared, RandomTeacher):
            return declared
        if isinstance(declared, TimmTeacher):
            declared = declared.model_copy(update={"weights": "random"})
        final_norm = params.recipes.pretrain[row.recipe].target.final_norm
        return foreign_teacher(declared, final_norm, params.normalisation)

    def _student(self, name: str) -> Promoted:
        params, row = self.plan.params, self.plan.params.rows[name]
        architecture: Architecture = params.architectures[row.architecture]
        recipe = params.recipes.pretrain[row.recipe].of_stage(1)
        made = DESIGNS[recipe.design].student(architecture, recipe, architecture.width)
        return Promoted(made.state_dict(), architecture, recipe.design, same_row=False)

    def _finetune(self, job: Job) -> Task:
        params, row = self.plan.params, self.plan.params.rows[job.key["row"]]
        if job.verb == "transfer":
            name = job.key["dataset"]
            recipe = transfer_recipe(params, job.key["row"], name)
        else:
            name, recipe = params.uses.cls, params.recipes.finetune[row.recipe]
        recipe = recipe.model_copy(update={"label_fraction": 1.0})
        manifest = self._labelled(name)
        classifier = classifier_for(params.architectures[row.architecture], recipe, len(manifest.classes), None, recipe.drop_path)
        initialise_classifier(classifier, recipe, recipe.seed)
        batch = self.plan.resources(job).batch_per_process or 1
        return finetune_task(job.name, classifier, recipe, recipe.seed, manifest, params.normalisation, self.processes, batch)

    def _detect(self, job: Job) -> Task:
        params, row = self.plan.params, self.plan.params.rows[job.key["row"]]
        recipe, name = params.recipes.detect[row.recipe], params.uses.det
        detector = begin_detector(params.architectures[row.architecture], recipe, self._classes(name), recipe.seed, None, "")
        images = TrainingObjects(self._drawn("scenes", "coco", self._side(name)), recipe.augmentation, recipe.seed)
        groups = dense_groups(detector, "pyramid", recipe.optimizer)
        return detect_task(job.name, detector, recipe, recipe.seed, images, params.normalisation, groups, None)

    def _segment(self, job: Job) -> Task:
        params, row = self.plan.params, self.plan.params.rows[job.key["row"]]
        recipe, name = params.recipes.segment[row.recipe], params.uses.seg
        segmenter = begin_segmenter(params.architectures[row.architecture], recipe, self._classes(name), recipe.seed, None, "")
        manifest = self._with_classes(self._drawn("scenes", "labelmaps", self._side(name)), name)
        groups = dense_groups(segmenter, "pyramid", recipe.optimizer)
        return segment_task(job.name, segmenter, recipe, recipe.seed, manifest, params.normalisation, groups, None)

    def _labelled(self, name: str) -> Manifest:
        return self._with_classes(self._drawn("digits", "imagefolder", self._side(name)), name)

    def _with_classes(self, manifest: Manifest, name: str) -> Manifest:
        """As many classes as the set has, though only ten are drawn."""
        more = range(len(manifest.classes), self._classes(name))
        return replace(manifest, classes=[*manifest.classes, *(f"class {number}" for number in more)])

    def _classes(self, name: str) -> int:
        return self.plan.params.datasets[name].classes or 10

    def _side(self, name: str) -> int:
        """Side of a set's images in pixels, as far as its declaration shows it."""
        declared = self.plan.params.datasets[name]
        if declared.embedded is not None:
            return declared.embedded.image_size
        return declared.short_side or (CIFAR_SIDE if "cifar" in declared.layouts else TYPICAL_SIDE)

    @cached_property
    def _manifests(self) -> dict[tuple[Layout, int], Manifest]:
        return {}

    def _drawn(self, style: str, layout: Layout, side: int) -> Manifest:
        """A few images of a layout, drawn when they are first asked for."""
        if (layout, side) not in self._manifests:
            name, root = f"{layout}-{side}", self.folder / f"{layout}-{side}"
            root.mkdir()
            dataset = _declared(style, layout, side, root)
            with contextlib.redirect_stdout(io.StringIO()):
                draw(name, dataset, root)
                made = prepare(name, dataset, self.folder / f"{name}-prepared", self.folder / f"{name}-copy", 1, float("inf"))
            self._manifests[layout, side] = made
        return self._manifests[layout, side]


def _declared(style: str, layout: Layout, side: int, root: Path) -> Dataset:
    apart = {"coco": ".json", "labelmaps": ""}
    parts = {
        part: Split(images=f"images/{folder}", annotations=f"annotations/{folder}{apart[layout]}" if layout in apart else None)
        for part, folder in (("train", "training"), ("validation", "validation"))
    }
    embedded = {"style": style, "image_size": side, "train": TRAINING, "validation": VALIDATION, "clutter": 0.5, "seed": 0}
    return Dataset(
        title="drawn to measure with",
        layouts=[layout],
        root=str(root),
        train=parts["train"],
        validation=parts["validation"],
        classes=None,
        licence="",
        source="",
        embedded=Embedded.model_validate({**embedded, "scene": SCENE if style == "scenes" else None}),
        check=Check(decode="none", unreadable="refuse"),
    )
