"""The trainings of a plan's jobs as they would begin, but on drawn images and from random weights."""

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from dbot.data.embedded.draw import draw
from dbot.data.manifest import Manifest
from dbot.data.prepare import prepare
from dbot.distill.boundary import Promoted
from dbot.distill.designs import DESIGNS
from dbot.jobs.kind import Checkpoint, Training
from dbot.models.checkpointing import checkpoint_blocks
from dbot.params.datasets import Check, Dataset, Embedded, Layout, Scene, Split
from dbot.params.document import Params
from dbot.params.section import Section
from dbot.params.teachers import TimmTeacher
from dbot.plan import Job, Plan
from dbot.train.distributed import Processes
from dbot.train.task import Task

S = TypeVar("S", bound=Section)

TRAINING, VALIDATION = 40, 10
"""Images that are drawn."""
TYPICAL_SIDE = 480
"""Side in pixels of the images that stand for those of a set that is not drawn."""
CIFAR_SIDE = 32
REHEARSED = {"label_fraction": 1.0, "monitor": None}
"""Fields of recipes that would find too few of the drawn images, or look at them besides."""
SCENE = Scene(digits=[2, 6], sizes=[0.16, 0.45])


@dataclass(frozen=True)
class RehearsedJob:
    """What a training begins with in a rehearsal: drawn images, and random weights where others would have to be trained or fetched."""

    params: Params
    job: Job
    processes: Processes
    manifest: Manifest
    batch_per_process: int

    def checkpoint(self, role: str, file: str | None = None) -> Checkpoint | None:
        """None: what is drawn anew takes as long to train as what is kept."""
        return None

    def student(self, role: str) -> Promoted:
        """One of the declared shape."""
        left_by = self.job.inputs[role]
        name = left_by.key["row"] if "row" in left_by.key else self.params.released.files[left_by.key["released"]].row
        row = self.params.rows[name]
        architecture, recipe = self.params.architectures[row.architecture], self.params.recipes.pretrain[row.recipe].of_stage(1)
        made = DESIGNS[recipe.design].student(architecture, recipe, architecture.width)
        return Promoted(made.state_dict(), architecture, recipe.design, same_row=False)


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
        assert isinstance(job.kind, Training), f"{job.name} trains nothing"
        resources = self.plan.resources(job)
        manifest = self._images(job.inputs["data"].key["dataset"], job.kind.layout)
        given = RehearsedJob(self._params, job, self.processes, manifest, resources.batch)
        task = job.kind.build(given).task
        if resources.checkpointing:
            checkpoint_blocks(task.model)
        return task

    @cached_property
    def _params(self) -> Params:
        """The plan's, of which a rehearsal takes every label, looks at nothing meanwhile, and fetches no weights."""
        params = self.plan.params
        recipes = {section: _all(dict(getattr(params.recipes, section)), REHEARSED) for section in type(params.recipes).model_fields}
        ours = {name: teacher for name, teacher in params.teachers.items() if isinstance(teacher, TimmTeacher)}
        teachers = {**params.teachers, **_all(ours, {"weights": "random"})}
        return params.model_copy(update={"recipes": params.recipes.model_copy(update=recipes), "teachers": teachers})

    def _images(self, name: str, layout: Layout) -> Manifest:
        style = "digits" if layout == "imagefolder" else "scenes"
        return self._as_declared(self._drawn(style, layout, self._side(name)), name)

    def _as_declared(self, manifest: Manifest, name: str) -> Manifest:
        """As many classes as the set has, though only ten are drawn, and masks if it has any."""
        more = range(len(manifest.classes), self._classes(name))
        classes = [*manifest.classes, *(f"class {number}" for number in more)]
        return replace(manifest, classes=classes, masks=not self.plan.params.datasets[name].boxes_only)

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


def _all(sections: Mapping[str, S], update: Mapping[str, object]) -> dict[str, S]:
    """Sections by name, each with the fields replaced that it has."""
    return {
        name: section.model_copy(update={field: value for field, value in update.items() if field in type(section).model_fields})
        for name, section in sections.items()
    }
