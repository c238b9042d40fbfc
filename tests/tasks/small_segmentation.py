"""A recipe and a set of label maps small enough for tests."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dbot.data.manifest import Manifest, read_manifest
from dbot.data.prepare import prepare
from dbot.params.datasets import Check, Dataset, LabelMaps, Split
from dbot.params.dense import Segment

CLASSES = 3


def recipe(**changes: Any) -> Segment:
    """A recipe; a section among the changes gives only what differs."""
    figures: dict[str, Any] = {
        "design": "asymmetric",
        "epochs": 2,
        "warmup_epochs": 0.5,
        "batch_size": 4,
        "drop_path": 0.0,
        "precision": "fp32",
        "compile": False,
        "non_finite": "stop",
        "seed": 0,
        "taps": [0, 0, 1, 1],
        "absolute_positions": True,
        "relative_positions": False,
        "layer_scale": None,
        "optimizer": {
            "learning_rate": 3e-3,
            "learning_rate_per": None,
            "minimum_learning_rate": 0.0,
            "betas": [0.9, 0.999],
            "eps": 1e-8,
            "weight_decay": 0.05,
            "clip_grad": None,
            "schedule": {"kind": "polynomial", "warmup_from": 1e-6},
        },
        "head": {"channels": 12, "pool_scales": [1, 2], "dropout": 0.1, "initial_std": 0.01},
        "auxiliary": {"channels": 8, "tap": 2, "weight": 0.4},
        "augmentation": {
            "long_side": 64,
            "short_side": 16,
            "scale_jitter": [0.5, 2.0],
            "crop": 16,
            "largest_share": 0.75,
            "flip": 0.5,
            "distortion": True,
        },
        "inference": {"long_side": 64, "short_side": 16, "window": 16, "stride": 11},
    }
    for key, value in changes.items():
        figures[key] = {**figures[key], **value} if isinstance(value, dict) else value
    return Segment.model_validate(figures)


def write_maps(folder: Path, parts: dict[str, list[tuple[int, int]]]) -> Path:
    """Images of three coloured stripes and a rim without a class, by part their (height, width), with maps in ADE20K's convention."""
    draws = np.random.default_rng(0)
    for part, sizes in parts.items():
        for number, (height, width) in enumerate(sizes):
            across = np.arange(width) * CLASSES // width
            values = np.broadcast_to(np.roll(across, draws.integers(width)) + 1, (height, width)).astype(np.uint8)
            pixels = np.eye(3)[values - 1] * 160 + draws.integers(0, 60, (height, width, 3))
            values = values.copy()
            values[0] = 0
            for kind, content in (("images", pixels.astype(np.uint8)), ("maps", values)):
                path = folder / kind / part / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(content).save(path)
    return folder


def declared(root: Path, **changes: Any) -> Dataset:
    """The declaration of such a set."""
    settings: dict[str, Any] = {
        "title": "stripes",
        "layouts": ["labelmaps"],
        "root": str(root),
        "train": Split(images="images/train", annotations="maps/train"),
        "validation": Split(images="images/val", annotations="maps/val"),
        "classes": CLASSES,
        "licence": "none",
        "source": "drawn by the test",
        "check": Check(decode="all", unreadable="refuse"),
        "label_maps": LabelMaps(),
    }
    return Dataset.model_validate({**settings, **changes})


def prepared(dataset: Dataset, folder: Path) -> Manifest:
    prepare("stripes", dataset, folder, folder / "copy", threads=1, progress_seconds=1e9)
    return read_manifest(folder)
