"""Detection: Cascade Mask R-CNN as a task of the training loop, and its findings as COCO results."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.v2 import functional

from dbot.data.transforms import normalise
from dbot.models.detector.build import Detector
from dbot.models.detector.cascade import Detections, Target
from dbot.models.detector.paste import paste
from dbot.params.detection import Detect, DetectInference
from dbot.params.scales import Normalisation
from dbot.train.distributed import Processes
from dbot.train.precision import autocast_type
from dbot.train.task import Metrics, Step, Task

Batch = tuple[list[Tensor], list[Target]]
"""uint8 images (3, H_i, W_i), and for each its `boxes`, `labels` and `masks`."""


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
        recipe: the figures.
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


def collate(samples: Sequence[tuple[Tensor, Target]]) -> Batch:
    """Lists, since images of a batch differ in size."""
    return [image for image, _ in samples], [target for _, target in samples]


def normalised(image_CHW: Tensor, statistics: Normalisation) -> Tensor:
    """uint8 pixels of one image to what the detector takes."""
    return normalise(image_CHW.unsqueeze(0), statistics).squeeze(0)


def evaluate_detection(
    detector: nn.Module,
    recipe: Detect,
    images: Dataset[Any],
    statistics: Normalisation,
    category_ids: Sequence[int],
    processes: Processes,
) -> list[dict[str, Any]]:
    """What the detector, in eval mode, finds in all validation images, as entries of a COCO results file.

    Every process looks at its own share, image by image, so that what is found in an image depends
    neither on its neighbours nor on the number of processes.

    Args:
        detector: as it is trained, in eval mode.
        recipe: its recipe.
        images: this process's share: uint8 images (3, H, W) as they are in the files, with `image_id` in their targets.
        statistics: of the pixels.
        category_ids: those of the classes, in their order; class 1 is the first.
        processes: this process among all.

    Returns:
        The findings of all processes, on each of them, in the order of the images' ids, the best of each image first.
    """
    mine: list[dict[str, Any]] = []
    for image, target in DataLoader(images, batch_size=None):
        found = detect_image(detector, image.to(processes.device), recipe, statistics)
        mine += coco_results(found, int(target["image_id"]), (image.shape[-2], image.shape[-1]), category_ids, recipe.inference.mask)
    return sorted(processes.gather(mine), key=lambda result: result["image_id"])


@torch.no_grad()
def detect_image(detector: nn.Module, image_CHW: Tensor, recipe: Detect, statistics: Normalisation) -> Detections:
    """What a detector in eval mode finds in an image.

    Args:
        detector: on the image's device.
        image_CHW: uint8, of any size; it is resized as the recipe says.
        recipe: the detector's.
        statistics: of the pixels.

    Returns:
        On the CPU, `boxes` xyxy in pixels of the image as it was given, `scores`, `labels` from 1, and
        `masks`, probabilities within the boxes; the best first.
    """
    height, width = image_CHW.shape[-2:]
    new_height, new_width = inference_size(height, width, recipe.inference)
    resized = functional.resize(image_CHW, [new_height, new_width], antialias=True)
    autocast = autocast_type(recipe.precision)
    with torch.autocast(image_CHW.device.type, dtype=autocast, enabled=autocast is not None):
        found = detector([normalised(resized, statistics)])[0]
    found = {name: values.cpu() for name, values in found.items()}
    scale_4 = torch.tensor([width / new_width, height / new_height] * 2)
    return {**found, "boxes": found["boxes"] * scale_4}


def inference_size(height: int, width: int, figures: DetectInference) -> tuple[int, int]:
    """Height and width of an image for inference: the short side as wanted, unless the long one would be too long."""
    scale = min(figures.short_side / min(height, width), figures.long_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def coco_results(
    found: Detections, image_id: int, size: tuple[int, int], category_ids: Sequence[int], threshold: float
) -> list[dict[str, Any]]:
    """Detections of one image as entries of a COCO results file, with boxes as x, y, width, height and masks run-length encoded.

    Args:
        found: in pixels of the image.
        image_id: its id.
        size: its height and width.
        category_ids: those of the classes, in their order.
        threshold: probability from which a pixel belongs to a mask.
    """
    from pycocotools import mask as rle

    results = []
    for box, score, label, mask in zip(found["boxes"], found["scores"], found["labels"], found["masks"], strict=True):
        x0, y0, x1, y1 = box.tolist()
        encoded = rle.encode(np.asfortranarray(paste(mask, box, *size, threshold).numpy(), dtype=np.uint8))
        results.append(
            {
                "image_id": image_id,
                "category_id": category_ids[int(label) - 1],
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "score": float(score),
                "segmentation": {"size": list(size), "counts": encoded["counts"].decode("ascii")},
            }
        )
    return results
