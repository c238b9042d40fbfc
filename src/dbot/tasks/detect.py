"""Detection: Cascade Mask R-CNN (of a set without masks Cascade R-CNN) as a task of the training loop, its findings as COCO results."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from dbot.base.errors import UserError
from dbot.base.seeds import generator
from dbot.data.objects.loading import Origin, collate
from dbot.data.objects.results import Result, coco_results, in_order
from dbot.data.transforms import normalise
from dbot.models.checkpoint import fill, part
from dbot.models.detector.build import Detector, build_detector, initialise_heads
from dbot.models.detector.cascade import Target
from dbot.models.pyramid import build_pyramid, initialise_pyramid, load_encoder_into
from dbot.params.dense import Detect
from dbot.params.scales import Normalisation
from dbot.params.teachers import Architecture
from dbot.train.distributed import Processes
from dbot.train.loading import one_by_one
from dbot.train.precision import autocast_type
from dbot.train.task import Metrics, Step, Task

Batch = tuple[list[Tensor], list[Target]]
"""uint8 images (3, H_i, W_i), and for each its `boxes`, `labels` and, where the set has them, `masks`."""


def new_detector(architecture: Architecture, recipe: Detect, classes: int, masks: bool = True) -> Detector:
    """A detector of a recipe, on an architecture's encoder, with mask heads or without; its weights are torch's."""
    return build_detector(build_pyramid(architecture, recipe, recipe.image_size), recipe, classes, masks)


def begin_detector(
    architecture: Architecture,
    recipe: Detect,
    classes: int,
    seed: int,
    student: dict[str, Tensor] | None,
    source: str,
    masks: bool = True,
) -> Detector:
    """The detector with which a training begins.

    Args:
        architecture: the encoder's.
        recipe: the configuration.
        classes: number of them, without the background.
        seed: of the weights that are drawn.
        student: weights of a student; None: the encoder is random too.
        source: what messages call them.
        masks: whether it has mask heads.

    Raises:
        UserError: the student doesn't fit the recipe.
    """
    detector = new_detector(architecture, recipe, classes, masks)
    initialise_pyramid(detector.pyramid, generator(seed, "pyramid"))
    initialise_heads(detector, generator(seed, "heads"))
    if student is not None:
        load_encoder_into(detector.pyramid, part(student, "encoder."), source)
    return detector


def detector_of(weights: Mapping[str, Tensor], about: Mapping[str, Any], source: str) -> tuple[Detector, Detect]:
    """The detector of a checkpoint, in eval mode, and its recipe.

    Raises:
        UserError: it holds something else.
    """
    if about.get("kind") != "detector":
        raise UserError(f"{source}: holds no detector (its kind is {about.get('kind')}); name the model of a `detect` job")
    recipe, masks = Detect.model_validate(about["recipe"]), about.get("masks") != "none"
    detector = new_detector(Architecture.model_validate(about["architecture"]), recipe, len(about["classes"]), masks)
    fill(detector, dict(weights), source, set())
    return detector.eval(), recipe


def detect_task(
    title: str,
    detector: Detector,
    recipe: Detect,
    seed: int,
    images: Dataset[Any],
    statistics: Normalisation,
    groups: list[dict[str, Any]] | None,
    evaluate: Callable[[nn.Module], Metrics] | None,
) -> Task:
    """Training of a detector: the sum of its losses.

    Args:
        title: what a progress line calls it.
        detector: what is trained.
        recipe: the configuration.
        seed: of all draws.
        images: asked for (epoch, number), it gives a uint8 image (3, H, W) and its target.
        statistics: of the pixels.
        groups: the optimizer's parameter groups.
        evaluate: metrics of a detector, measured as often as the recipe says.
    """

    def loss(model: nn.Module, batch: Batch, step: Step) -> Tensor:
        pixels, targets = batch
        losses: dict[str, Tensor] = model([normalised(image, statistics) for image in pixels], targets)
        return torch.stack(list(losses.values())).sum()

    return Task(
        title=title,
        recipe=recipe,
        model=detector,
        images=images,
        loss=loss,
        seed=seed,
        evaluate=evaluate if recipe.evaluate_every is not None else None,
        evaluate_every=recipe.evaluate_every or 1,
        collate=collate,
        groups=groups,
    )


def normalised(image_CHW: Tensor, statistics: Normalisation) -> Tensor:
    """uint8 pixels of one image to what the detector takes."""
    return normalise(image_CHW.unsqueeze(0), statistics).squeeze(0)


@torch.no_grad()
def evaluate_detection(
    detector: nn.Module,
    recipe: Detect,
    views: Dataset[tuple[Tensor, Origin]],
    statistics: Normalisation,
    category_ids: Sequence[int],
    processes: Processes,
) -> list[Result]:
    """What the detector, in eval mode, finds in all validation images, as entries of a COCO results file.

    Every process looks at its own share, image by image, so that what is found in an image depends
    neither on its neighbours nor on the number of processes.

    Args:
        detector: as it is trained, in eval mode.
        recipe: its recipe.
        views: this process's share of the images, at the size of evaluation.
        statistics: of the pixels.
        category_ids: those of the classes, in their order; class 1 is the first.
        processes: this process among all.

    Returns:
        On the leading process, what all have found, in the order of the images' ids, the best of each image first.
    """
    autocast = autocast_type(recipe.precision)
    mine: list[Result] = []
    for view, origin in one_by_one(views, processes):
        with torch.autocast(processes.device.type, dtype=autocast, enabled=autocast is not None):
            (found,) = detector([normalised(view, statistics)])
        mine += coco_results(found, origin, category_ids, recipe.inference.mask)
    return in_order(processes.collect(mine))
