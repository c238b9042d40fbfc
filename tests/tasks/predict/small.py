"""Checkpoints of tiny random networks, as training writes them."""

import json
from pathlib import Path
from typing import Any

import torch

from dbot.models import checkpoint
from dbot.models.detector.build import build_detector, initialise_heads
from dbot.models.pyramid import build_pyramid, initialise_pyramid
from tests.models.detector.small import small
from tests.train.small import ARCHITECTURE

CLASSES = ["cat", "dög", "a class with a very long name"]
CATEGORY_IDS = [3, 7, 90]


def detector_checkpoint(path: Path, masks: bool = True, **changes: Any) -> Path:
    recipe = small(taps=[0, 0, 1, 1], image_size=32, drop_path=0.0, **{"inference": {"short_side": 32, "long_side": 48}, **changes})
    pyramid = build_pyramid(ARCHITECTURE, recipe, recipe.image_size)
    initialise_pyramid(pyramid, torch.Generator().manual_seed(0))
    detector = build_detector(pyramid, recipe, len(CLASSES), masks)
    initialise_heads(detector, torch.Generator().manual_seed(0))
    about = {"kind": "detector", "architecture": ARCHITECTURE.model_dump(), "recipe": recipe.model_dump(), "classes": CLASSES}
    about |= {} if masks else {"masks": "none"}
    # As it comes back from a file's header.
    checkpoint.save(path, detector.state_dict(), json.loads(json.dumps({**about, "category_ids": CATEGORY_IDS})))
    return path
