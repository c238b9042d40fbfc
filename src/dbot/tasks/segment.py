"""Semantic segmentation as a task of the training loop, and its evaluation."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dbot.base.errors import UserError
from dbot.base.seeds import generator
from dbot.data.labelmaps.pairs import TrainingPairs, ValidationPairs
from dbot.data.labelmaps.transforms import training_transform
from dbot.data.labelmaps.values import IGNORE
from dbot.data.manifest import Manifest
from dbot.data.transforms import normalise
from dbot.models.checkpoint import fill, part
from dbot.models.pyramid import build_pyramid, initialise_pyramid, load_encoder_into
from dbot.models.segmenter import Segmenter, build_segmenter, enlarged, initialise_heads
from dbot.params.dense import Segment
from dbot.params.scales import Normalisation
from dbot.params.teachers import Architecture
from dbot.tasks.confusion import Scores, confusion, scores
from dbot.tasks.windows import label_image
from dbot.train.distributed import Processes
from dbot.train.loading import one_by_one
from dbot.train.precision import autocast_type
from dbot.train.task import Metrics, Step, Task


def new_segmenter(architecture: Architecture, recipe: Segment, classes: int) -> Segmenter:
    """A segmenter of a recipe, on an architecture's encoder; its weights are torch's."""
    return build_segmenter(build_pyramid(architecture, recipe, recipe.augmentation.crop), recipe, classes)


def begin_segmenter(
    architecture: Architecture, recipe: Segment, classes: int, seed: int, student: dict[str, Tensor] | None, source: str
) -> Segmenter:
    """The segmenter with which a training begins.

    Args:
        architecture: the encoder's.
        recipe: the configuration.
        classes: number of them.
        seed: of the weights that are drawn.
        student: weights of a student; None: the encoder is random too.
        source: what messages call them.

    Raises:
        UserError: the student doesn't fit the recipe.
    """
    segmenter = new_segmenter(architecture, recipe, classes)
    initialise_pyramid(segmenter.pyramid, generator(seed, "pyramid"))
    initialise_heads(segmenter, recipe.head.initial_std, generator(seed, "heads"))
    if student is not None:
        load_encoder_into(segmenter.pyramid, part(student, "encoder."), source)
    return segmenter


def segmenter_of(weights: Mapping[str, Tensor], about: Mapping[str, Any], source: str) -> tuple[Segmenter, Segment]:
    """The segmenter of a checkpoint, in eval mode, and its recipe.

    Raises:
        UserError: it holds something else.
    """
    if about.get("kind") != "segmenter":
        raise UserError(f"{source}: holds no segmenter (its kind is {about.get('kind')}); name the model of a `segment` job")
    recipe = Segment.model_validate(about["recipe"])
    segmenter = new_segmenter(Architecture.model_validate(about["architecture"]), recipe, len(about["classes"]))
    fill(segmenter, dict(weights), source, set())
    return segmenter.eval(), recipe


def segment_task(
    title: str,
    segmenter: Segmenter,
    recipe: Segment,
    seed: int,
    manifest: Manifest,
    statistics: Normalisation,
    groups: list[dict[str, Any]],
    evaluate: Callable[[nn.Module], Metrics] | None,
) -> Task:
    """Training of a segmenter on crops.

    Args:
        title: what a progress line calls it.
        segmenter: with the weights that it begins with.
        recipe: its configuration.
        seed: of order, crops and dropout.
        manifest: of a set with label maps.
        statistics: of the pixels.
        groups: the optimizer's parameter groups.
        evaluate: measures the model in between, if the recipe's `evaluate_every` asks for it.
    """

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor], step: Step) -> Tensor:
        images, classes_BHW = normalise(batch[0], statistics), batch[1]
        _require_a_batch(model, step)
        logits, auxiliary = model(images)
        return pixel_loss(logits, classes_BHW) + recipe.auxiliary.weight * pixel_loss(auxiliary, classes_BHW)

    return Task(
        title=title,
        recipe=recipe,
        model=segmenter,
        images=TrainingPairs(manifest, training_transform(recipe.augmentation, statistics), seed),
        loss=loss,
        seed=seed,
        evaluate=evaluate if recipe.evaluate_every is not None else None,
        evaluate_every=recipe.evaluate_every or 1,
        groups=groups,
        compiled=partial(_compiled, segmenter),
    )


def _compiled(segmenter: Segmenter, wrapped: nn.Module) -> list[nn.Module]:
    """All of it, or where its norms are synchronised, each of which would break the graph, the encoder: most of the work, and no norm."""
    return [segmenter.pyramid.encoder] if _synchronised(wrapped) else [wrapped]


def _synchronised(model: nn.Module) -> bool:
    return any(isinstance(part, nn.SyncBatchNorm) for part in model.modules())


def pixel_loss(logits_BKhw: Tensor, classes_BHW: Tensor) -> Tensor:
    """Cross-entropy of the enlarged logits in float32, averaged over all pixels; those without a class count 0.

    So did the published code (mmsegmentation 0.12); a crop without any class then has a loss, of
    0, and it doesn't matter how a batch is divided.
    """
    total = functional.cross_entropy(enlarged(logits_BKhw, classes_BHW.shape[1:]), classes_BHW, ignore_index=IGNORE, reduction="sum")
    return total / classes_BHW.numel()


def evaluate_segmentation(
    segmenter: Segmenter,
    recipe: Segment,
    manifest: Manifest,
    statistics: Normalisation,
    processes: Processes,
    batch_per_process: int,
    watch: Callable[[int, Tensor, Tensor], None] | None = None,
) -> Scores:
    """The measures over all validation images, every image counted once on any number of processes.

    Args:
        segmenter: in eval mode, on the processes' device.
        recipe: how images are labelled, and in which precision.
        manifest: of a set with label maps.
        statistics: of the pixels.
        processes: among which the images are shared.
        batch_per_process: windows in one forward pass.
        watch: called with the place of each image of this process in the set, its true and its predicted classes, on the CPU.

    Raises:
        UserError: a label map is wrong, or no pixel of the set has a class.
    """
    classes, device, autocast = len(manifest.classes), processes.device, autocast_type(recipe.precision)
    matrix = torch.zeros(classes, classes, dtype=torch.int64, device=device)
    for number, (image, truth_HW) in enumerate(one_by_one(ValidationPairs(manifest, processes.rank, processes.world), processes)):
        with torch.autocast(device.type, dtype=autocast, enabled=autocast is not None):
            predicted_HW = label_image(segmenter, image, truth_HW.shape, recipe.inference, statistics, batch_per_process)
        matrix += confusion(truth_HW, predicted_HW, classes)
        if watch is not None:
            watch(processes.rank + number * processes.world, truth_HW.cpu(), predicted_HW.cpu())
    matrix = processes.sum(matrix)
    if not matrix.any():
        raise UserError(f"{manifest.root}: no pixel of the validation label maps has a class; mend them, or label_maps of the data set")
    return scores(matrix)


def _require_a_batch(model: nn.Module, step: Step) -> None:
    """The pooled maps of the head can't be normalised over one image, as torch would say with a traceback."""
    if step.layout.micro == 1 and not _synchronised(model):
        raise UserError(
            "segmentation can't be trained on one image at a time, since its heads normalise over the images of a forward pass: "
            "set batch_size and batch_per_process to 2 or more, so that batch_per_process fits into batch_size / processes"
        )
