"""What a job has to do: which images, how often, at how many FLOPs each, and what it leaves on disk."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from dbot.base.digest import data_digest
from dbot.forecast.cost import Cost, Flops
from dbot.forecast.dense import PLAIN_ASPECT, detector, detector_weights, mean, segmenter, segmenter_weights, sides, windows
from dbot.forecast.images import Counts, counts
from dbot.forecast.vit import (
    Frozen,
    classifier,
    encoder,
    encoder_weights,
    foreign_teacher,
    random_teacher,
    student,
    student_teacher,
    student_weights,
)
from dbot.params.architectures import Architecture
from dbot.params.detection import Detect
from dbot.params.recipes import Finetuning, SymmetricFinetune, Training
from dbot.params.segmentation import Segment
from dbot.params.teachers import RandomTeacher, RowTeacher
from dbot.plan import Job, Plan, transfer_recipe

BYTES = 4
"""Of a number in a checkpoint."""
MOMENTS = 2
"""Numbers that AdamW keeps for each weight."""


@dataclass(frozen=True)
class Pass:
    """Images that go through a network."""

    images: int
    flops: Flops
    """Of one image, forward and, in training, backward."""


@dataclass(frozen=True)
class Work:
    """What a job has to do."""

    training: Pass | None = None
    """None: it trains nothing."""
    inference: Pass | None = None
    """Images that go forward only: to be measured, or for their features."""
    images: int | None = 0
    """Images that it reads, each as often as it is read. None: not known."""
    left_out: tuple[str, ...] = ()
    """What it computes besides, which is not in the FLOPs."""
    checkpoints: int = 0
    """Bytes of the checkpoints that it leaves."""
    state: int = 0
    """Bytes of one training state while it runs."""
    kind: str = ""
    """Digest of what decides how long an image takes to train: equal for jobs whose training steps are alike. Empty: it trains nothing."""

    @property
    def flops(self) -> float:
        """Of the whole job."""
        return sum(each.images * each.flops.total for each in (self.training, self.inference) if each is not None)


@dataclass(frozen=True)
class Works:
    """The works of a plan's jobs."""

    plan: Plan
    aspect: float | None = None
    """Long over short side of all images. None: what is usual for each data set."""
    counts: Counts = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", counts(self.plan))

    def of(self, job: Job) -> Work:
        """What one job has to do."""
        makers: dict[str, Callable[[Job], Work]] = {
            "generate": self._read,
            "prepare": self._read,
            "fetch": self._fetch,
            "distill": self._distill,
            "finetune": self._finetune,
            "transfer": self._finetune,
            "detect": self._dense,
            "segment": self._dense,
            "evaluate": self._evaluate,
            "probe": self._probe,
            "analyse": self._analyse,
            "compare": self._compare,
        }
        return makers[job.verb](job)

    def _read(self, job: Job) -> Work:
        found = [self.counts[job.key["dataset"], part] for part in ("train", "validation")]
        return Work(images=None if None in found else sum(filter(None, found)))

    def _fetch(self, job: Job) -> Work:
        """A released file holds an encoder at least."""
        architecture = self._architecture(self.plan.params.released.files[job.key["released"]].row)
        return Work(checkpoints=BYTES * encoder_weights(architecture, False, False, True))

    def _distill(self, job: Job) -> Work:
        params, row = self.plan.params, self.plan.params.rows[job.key["row"]]
        stage = int(job.key["stage"])
        architecture, recipe = self._architecture(job.key["row"]), params.recipes.pretrain[row.recipe].of_stage(stage)
        teacher, name = self._teacher(job.key["row"], stage)
        cost = student(architecture, recipe, architecture.width if teacher is None else teacher.width)
        seen = Flops() if teacher is None else teacher.cost.inference(recipe.precision)
        images = self._trained(params.uses.pretrain, recipe.epochs, recipe.batch_size)
        numbers = student_weights(architecture, recipe, architecture.width if teacher is None else teacher.width)
        return self._training(
            job,
            images,
            None,
            sum([cost.training(recipe.precision, self._checkpointing(job))] * recipe.masks_per_image, seen),
            recipe,
            BYTES * numbers * (1 + MOMENTS * recipe.boundary.keep_optimizer),
            BYTES * numbers * (1 + MOMENTS),
            () if teacher is not None else (f"teacher {name}",),
            {"teacher": name if teacher is None else None},
        )

    def _teacher(self, row: str, stage: int) -> tuple[Frozen | None, str]:
        """The network that teaches a stage, and its name; None: its figures are not known."""
        params, declared = self.plan.params, self.plan.params.rows[row]
        architecture = self._architecture(row)
        if stage > 1:
            return student_teacher(architecture, architecture.grid), row
        teacher, name = params.teacher_of(declared), str(declared.teacher)
        if isinstance(teacher, RandomTeacher):
            return random_teacher(architecture, teacher), name
        if isinstance(teacher, RowTeacher):
            return student_teacher(self._architecture(teacher.row), architecture.grid), teacher.row
        return foreign_teacher(teacher), name

    def _finetune(self, job: Job) -> Work:
        params, row = self.plan.params, self.plan.params.rows[job.key["row"]]
        recipe: Finetuning
        if job.verb == "transfer":
            dataset = job.key["dataset"]
            recipe = transfer_recipe(params, job.key["row"], dataset)
        else:
            dataset, recipe = params.uses.cls, params.recipes.finetune[row.recipe]
        architecture, classes = self._sized(job.key["row"], recipe.image_size), self._classes(dataset)
        cost = classifier(architecture, classes)
        images = self._trained(dataset, recipe.epochs, recipe.batch_size, recipe.label_fraction, classes)
        measured = self._times(dataset, -(-recipe.epochs // recipe.evaluate_every))
        symmetric = isinstance(recipe, SymmetricFinetune)
        relative, absolute = (
            (recipe.relative_positions, recipe.absolute_positions) if isinstance(recipe, SymmetricFinetune) else (False, True)
        )
        numbers = encoder_weights(architecture, symmetric, relative, absolute, architecture.depth)
        numbers += 2 * architecture.width + classes * (architecture.width + 1)
        kept = 2 if job.verb == "finetune" else 1
        inference = None if measured is None else Pass(measured, cost.inference(recipe.precision))
        state = BYTES * numbers * (2 + MOMENTS)  # the best weights so far are part of it
        return self._training(
            job, images, inference, cost.training(recipe.precision, self._checkpointing(job)), recipe, BYTES * numbers * kept, state
        )

    def _checkpointing(self, job: Job) -> bool:
        return bool(self.plan.resources(job).checkpointing)

    def _dense(self, job: Job) -> Work:
        column = "det" if job.verb == "detect" else "seg"
        params, row = self.plan.params, self.plan.params.rows[job.key["row"]]
        architecture, name = self._architecture(job.key["row"]), getattr(params.uses, column)
        recipe: Detect | Segment = getattr(params.recipes, job.verb)[row.recipe]
        classes, aspect = self._classes(name), self._aspect(name)
        if isinstance(recipe, Detect):
            sizes = [sides(short, recipe.augmentation.long_side, aspect) for short in recipe.augmentation.short_sides]
            cost = mean([detector(architecture, recipe, classes, *size, training=True) for size in sizes])
            numbers = detector_weights(architecture, recipe, classes)
        else:
            crop = recipe.augmentation.crop
            cost = segmenter(architecture, recipe, classes, crop, crop, training=True)
            numbers = segmenter_weights(architecture, recipe, classes)
        images = self._trained(name, recipe.epochs, recipe.batch_size)
        inference = None
        if recipe.evaluate_every is not None:
            inference = self._measured(job.key["row"], column, -(-recipe.epochs // recipe.evaluate_every))
        checkpoints, state = BYTES * numbers, BYTES * numbers * (1 + MOMENTS)
        return self._training(job, images, inference, cost.training(recipe.precision, self._checkpointing(job)), recipe, checkpoints, state)

    def _evaluate(self, job: Job) -> Work:
        return _inference(self._measured(job.key["row"], job.key["column"], 1))

    def _measured(self, name: str, column: str, times: int) -> Pass | None:
        """The validation images of a column, so many times."""
        params, row = self.plan.params, self.plan.params.rows[name]
        dataset = getattr(params.uses, column)
        images, classes, aspect = self._times(dataset, times), self._classes(dataset), self._aspect(dataset)
        architecture = self._architecture(name)
        if column == "cls":
            recipe: Training = params.recipes.finetune[row.recipe]
            cost = classifier(self._sized(name, params.recipes.finetune[row.recipe].image_size), classes)
        elif column == "det":
            recipe = detect = params.recipes.detect[row.recipe]
            size = sides(detect.inference.short_side, detect.inference.long_side, aspect)
            cost = detector(architecture, detect, classes, *size, training=False)
        else:
            recipe = segment = params.recipes.segment[row.recipe]
            figures = segment.inference
            height, width = sides(figures.short_side, figures.long_side, aspect)
            one = segmenter(architecture, segment, classes, min(figures.window, height), min(figures.window, width), training=False)
            cost = sum([one] * windows(height, width, figures.window, figures.stride), Cost())
        return None if images is None else Pass(images, cost.inference(recipe.precision))

    def _probe(self, job: Job) -> Work:
        params = self.plan.params
        seen = [self.counts[params.uses.cls, part] for part in ("train", "validation")]
        images = None if None in seen else sum(filter(None, seen))
        found = self._network(job.key["row"], int(job.key["stage"]), params.probes.image_size)
        left_out = ("the solver of the linear probe", "k-NN")
        if found is None:
            return Work(images=images, left_out=(f"teacher {params.rows[job.key['row']].teacher}", *left_out))
        return _inference(None if images is None else Pass(images, found.cost.inference(params.probes.precision)), left_out)

    def _analyse(self, job: Job) -> Work:
        images = self._analysed()
        found = self._network(job.key["row"], int(job.key["stage"]), None)
        left_out = ("singular values",)
        if found is None:
            return Work(images=images, left_out=(f"teacher {self.plan.params.rows[job.key['row']].teacher}", *left_out))
        return _inference(None if images is None else Pass(images, found.cost.inference("fp32")), left_out)

    def _compare(self, job: Job) -> Work:
        images = self._analysed()
        networks = [self._architecture(job.key[role]) for role in ("row", "other")]
        cost = sum((encoder(architecture, architecture.grid**2) for architecture in networks), Cost())
        return _inference(None if images is None else Pass(images, cost.inference("fp32")), ("similarities",))

    def _network(self, row: str, stage: int, image_size: int | None) -> Frozen | None:
        """A network of a row before any fine-tuning; None: its figures are not known."""
        params, declared, architecture = self.plan.params, self.plan.params.rows[row], self._architecture(row)
        grid = (image_size or architecture.image_size) // architecture.patch_size
        if stage > 0:
            return student_teacher(architecture, grid)
        teacher = params.teacher_of(declared)
        if isinstance(teacher, RandomTeacher):
            return student_teacher(architecture, grid, teacher.depth)
        return foreign_teacher(teacher, image_size)

    def _analysed(self) -> int | None:
        params = self.plan.params
        images = self.counts[params.uses.cls, "validation"]
        return images if images is None or params.analysis.images is None else min(images, params.analysis.images)

    def _training(
        self,
        job: Job,
        images: int | None,
        inference: Pass | None,
        flops: Flops,
        recipe: Any,
        checkpoints: int,
        state: int,
        left_out: tuple[str, ...] = (),
        more: dict[str, Any] | None = None,
    ) -> Work:
        decides = {
            "verb": job.verb if job.verb != "transfer" else "finetune",
            "architecture": job.settings["architecture"],
            "design": recipe.design,
            "flops": {name: round(value) for name, value in flops.by_precision.items()},
            "precision": recipe.precision,
            "compile": recipe.compile,
            "batch": min(self.plan.resources(job).batch_per_process or 1, recipe.batch_size),
            **(more or {}),
        }
        read = None if images is None else images + (inference.images if inference is not None else 0)
        return Work(
            Pass(images, flops) if images is not None else None,
            inference,
            read,
            left_out,
            checkpoints,
            state,
            data_digest(decides)[:16],
        )

    def _architecture(self, row: str) -> Architecture:
        return self.plan.params.architectures[self.plan.params.rows[row].architecture]

    def _sized(self, row: str, image_size: int | None) -> Architecture:
        architecture = self._architecture(row)
        return architecture if image_size is None else architecture.model_copy(update={"image_size": image_size})

    def _classes(self, dataset: str) -> int:
        """As declared; a set that may have any number counts as one of ten."""
        return self.plan.params.datasets[dataset].classes or 10

    def _aspect(self, dataset: str) -> float:
        """Long over short side of a set's images: this project draws squares."""
        usual = PLAIN_ASPECT if self.plan.params.datasets[dataset].embedded is None else 1.0
        return usual if self.aspect is None else self.aspect

    def _trained(self, dataset: str, epochs: int, batch: int, fraction: float = 1.0, classes: int = 1) -> int | None:
        """Images of a whole training: of each epoch as many as make whole batches."""
        images = self.counts[dataset, "train"]
        if images is None:
            return None
        if fraction < 1:
            images = classes * max(1, round(images / classes * fraction))
        return epochs * (images // batch) * batch

    def _times(self, dataset: str, times: int) -> int | None:
        images = self.counts[dataset, "validation"]
        return None if images is None else times * images


def _inference(inference: Pass | None, left_out: tuple[str, ...] = ()) -> Work:
    return Work(inference=inference, images=None if inference is None else inference.images, left_out=left_out)


def kinds(works: Works, jobs: Iterable[Job]) -> dict[str, Job]:
    """By kind of training, the first of some jobs that trains so."""
    found: dict[str, Job] = {}
    for job in jobs:
        if kind := works.of(job).kind:
            found.setdefault(kind, job)
    return found
