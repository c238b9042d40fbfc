"""What a job has to do: which images, how often, at how many FLOPs each, and what it leaves on disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dbot.base.digest import data_digest
from dbot.data.layouts.listing import Part
from dbot.flops import PLAIN_ASPECT, Flops, Frozen, foreign_teacher, student_teacher
from dbot.memory import Footprint
from dbot.params.document import Params
from dbot.params.recipes import Training
from dbot.params.scales import Resources
from dbot.params.teachers import Architecture, RandomTeacher

Counts = Mapping[tuple[str, Part], int | None]
"""Images by data set and part. None: not known."""

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
    downloads: int = 0
    """Bytes that it fetches from the network."""
    memory: Footprint | None = None
    """What it keeps on its GPU. None: it trains nothing, or that is not estimated."""
    kind: str = ""
    """Digest of what decides how long an image takes to train: equal for jobs whose training steps are alike. Empty: it trains nothing."""

    @property
    def flops(self) -> float:
        """Of the whole job."""
        return sum(each.images * each.flops.total for each in (self.training, self.inference) if each is not None)


@dataclass(frozen=True)
class Estimate:
    """What the work of a job is estimated from, and how."""

    params: Params
    counts: Counts
    resources: Resources
    """What the job asks for."""
    fixed_aspect: float | None = None
    """Long over short side of all images. None: what is usual for each data set."""

    def architecture(self, row: str, image_size: int | None = None) -> Architecture:
        """A row's, for images of its own size or another."""
        found = self.params.architectures[self.params.rows[row].architecture]
        return found if image_size is None else found.model_copy(update={"image_size": image_size})

    def classes(self, dataset: str) -> int:
        """As declared; a set that may have any number counts as one of ten."""
        return self.params.datasets[dataset].classes or 10

    def aspect(self, dataset: str) -> float:
        """Long over short side of a set's images: this project draws squares."""
        usual = PLAIN_ASPECT if self.params.datasets[dataset].embedded is None else 1.0
        return usual if self.fixed_aspect is None else self.fixed_aspect

    def every(self, dataset: str) -> int | None:
        """All images of a set. None: not known."""
        found = [self.counts[dataset, part] for part in ("train", "validation")]
        return None if None in found else sum(filter(None, found))

    def trained(self, dataset: str, epochs: int, batch: int, fraction: float = 1.0, classes: int = 1) -> int | None:
        """Images of a whole training: of each epoch as many as make whole batches."""
        images = self.counts[dataset, "train"]
        if images is None:
            return None
        if fraction < 1:
            images = classes * max(1, round(images / classes * fraction))
        return epochs * (images // batch) * batch

    def measured(self, dataset: str, times: int) -> int | None:
        """The validation images, so many times."""
        images = self.counts[dataset, "validation"]
        return None if images is None else times * images

    def analysed(self) -> int | None:
        """The images that the insides of networks are measured on."""
        images = self.counts[self.params.uses.cls, "validation"]
        return images if images is None or self.params.analysis.images is None else min(images, self.params.analysis.images)

    def network(self, row: str, stage: int, image_size: int | None) -> Frozen | None:
        """A network of a row before any fine-tuning; None: its figures are not known."""
        declared, architecture = self.params.rows[row], self.architecture(row)
        grid = (image_size or architecture.image_size) // architecture.patch_size
        if stage > 0:
            return student_teacher(architecture, grid)
        teacher = self.params.teacher_of(declared)
        if isinstance(teacher, RandomTeacher):
            return student_teacher(architecture, grid, teacher.depth)
        return foreign_teacher(teacher, image_size)

    @property
    def checkpointing(self) -> bool:
        return bool(self.resources.checkpointing)

    def training(
        self,
        verb: str,
        architecture: Mapping[str, Any],
        images: int | None,
        inference: Pass | None,
        flops: Flops,
        recipe: Training,
        design: str,
        checkpoints: int,
        state: int,
        left_out: tuple[str, ...] = (),
        more: Mapping[str, Any] | None = None,
        memory: Footprint | None = None,
    ) -> Work:
        """The work of a training.

        Args:
            verb: whose training steps those of the job are like.
            architecture: the job's, among its settings.
            images: that are trained on; None: not known.
            inference: images that are measured meanwhile.
            flops: of an image, forward and backward.
            recipe: of the training.
            design: of the network.
            checkpoints: bytes that it leaves.
            state: bytes of one training state.
            left_out: what is not in the FLOPs.
            more: what else decides how long an image takes.
            memory: what it keeps on its GPU.
        """
        decides = {
            "verb": verb,
            "architecture": architecture,
            "design": design,
            "flops": {name: round(value) for name, value in flops.by_precision.items()},
            "precision": recipe.precision,
            "compile": recipe.compile,
            "batch": min(self.resources.batch, recipe.batch_size),
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
            memory=memory,
            kind=data_digest(decides)[:16],
        )


def inference(found: Pass | None, left_out: tuple[str, ...] = ()) -> Work:
    """The work of a measurement."""
    return Work(inference=found, images=None if found is None else found.images, left_out=left_out)
