"""A detector small enough for tests: a pyramid of convolutions, heads of few channels, images with rectangles in them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dbot.models.detector.build import Detector, build_detector, initialise_heads
from dbot.params.dense import Detect

PUBLISHED: dict[str, Any] = {
    "design": "asymmetric",
    "epochs": 12,
    "warmup_epochs": 0.068,
    "batch_size": 16,
    "optimizer": {
        "learning_rate": 1.0e-4,
        "learning_rate_per": None,
        "minimum_learning_rate": 0,
        "betas": [0.9, 0.999],
        "eps": 1.0e-8,
        "weight_decay": 0.05,
        "clip_grad": None,
    },
    "drop_path": 0.2,
    "precision": "bf16",
    "compile": False,
    "non_finite": "stop",
    "seed": 0,
    "taps": [3, 5, 7, 11],
    "absolute_positions": True,
    "relative_positions": False,
    "layer_scale": None,
    "image_size": 1088,
    "channels": 256,
    "proposals": {
        "anchor_scale": 8,
        "anchor_ratios": [0.5, 1.0, 2.0],
        "border": 0,
        "positive_iou": 0.7,
        "negative_iou": 0.3,
        "least_iou": 0.3,
        "samples": 256,
        "positive_fraction": 0.5,
        "candidates": {"training": 2000, "inference": 1000},
        "kept": {"training": 2000, "inference": 1000},
        "nms": 0.7,
    },
    "cascade": {
        "stages": [
            {"iou": 0.5, "weight": 1, "stds": [0.1, 0.1, 0.2, 0.2]},
            {"iou": 0.6, "weight": 0.5, "stds": [0.05, 0.05, 0.1, 0.1]},
            {"iou": 0.7, "weight": 0.25, "stds": [0.033, 0.033, 0.067, 0.067]},
        ],
        "samples": 512,
        "positive_fraction": 0.25,
        "average": "logits",
    },
    "boxes": {
        "size": 7,
        "convolutions": 4,
        "hidden": 1024,
        "norm": "batch",
        "class_agnostic": False,
        "loss": "giou",
        "loss_weight": 10,
    },
    "masks": {"size": 14, "convolutions": 4},
    "augmentation": {
        "flip": 0.5,
        "short_sides": list(range(480, 801, 32)),
        "long_side": 1333,
        "crop_probability": 0.5,
        "crop_short_sides": [400, 500, 600],
        "crop_sides": [384, 600],
    },
    "inference": {"short_side": 800, "long_side": 1333, "score": 0.05, "nms": 0.5, "detections": 100, "mask": 0.5},
}

SMALL: dict[str, Any] = {
    "precision": "fp32",
    "channels": 16,
    "proposals": {"samples": 32, "candidates": {"training": 50, "inference": 50}, "kept": {"training": 50, "inference": 50}},
    "cascade": {"samples": 24},
    "boxes": {"size": 5, "convolutions": 1, "hidden": 32},
    "masks": {"size": 6, "convolutions": 1},
    "inference": {"short_side": 64, "long_side": 96},
}


def laid_over(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    return lower | {
        key: laid_over(lower[key], value) if isinstance(value, dict) and isinstance(lower.get(key), dict) else value
        for key, value in upper.items()
    }


def published(**changes: Any) -> Detect:
    return Detect.model_validate(laid_over(PUBLISHED, changes))


def small(**changes: Any) -> Detect:
    return Detect.model_validate(laid_over(laid_over(PUBLISHED, SMALL), changes))


class ConvPyramid(nn.Module):
    """Stands in for a ViT's pyramid: four maps at a quarter, half, once and twice the patch."""

    def __init__(self, patch: int = 8, channels: int = 16) -> None:
        super().__init__()
        self.channels = channels
        self.strides = (patch // 4, patch // 2, patch, 2 * patch)
        self.divisor = 2 * patch
        self.finest = nn.Conv2d(3, channels, self.strides[0], self.strides[0])
        self.further = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, channels, 3, 2, 1), nn.GroupNorm(4, channels), nn.ReLU()) for _ in range(3)
        )

    def forward(self, images_BCHW: Tensor) -> list[Tensor]:
        assert all(side % self.divisor == 0 for side in images_BCHW.shape[-2:])
        maps = [self.finest(images_BCHW)]
        for further in self.further:
            maps.append(further(maps[-1]))
        return maps


def detector(
    recipe: Detect | None = None, classes: int = 3, seed: int = 0, patch: int = 8, channels: int = 16, masks: bool = True
) -> Detector:
    torch.manual_seed(seed)
    built = build_detector(ConvPyramid(patch, channels), recipe or small(), classes, masks)
    initialise_heads(built, torch.Generator().manual_seed(seed))
    return built


def target(boxes: Sequence[Sequence[float]], labels: Sequence[int], height: int, width: int) -> dict[str, Tensor]:
    """Boxes filled by their masks."""
    masks = torch.zeros(len(boxes), height, width, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[int(y0) : int(y1), int(x0) : int(x1)] = True
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "masks": masks,
    }


def batch() -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Two images of different sizes, neither a multiple of the divisor; the second has no object."""
    draws = torch.Generator().manual_seed(0)
    images = [torch.randn(3, 60, 52, generator=draws), torch.randn(3, 40, 64, generator=draws)]
    return images, [target([[4, 4, 24, 28], [20, 30, 50, 58]], [1, 3], 60, 52), target([], [], 40, 64)]
