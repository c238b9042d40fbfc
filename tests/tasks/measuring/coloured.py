"""A classifier whose answers stand in the images: their colour says which class it shall take for the first, and which for the second."""

from pathlib import Path

import torch
from PIL import Image
from timm.data import ImageNetInfo, create_transform
from torch import Tensor, nn
from torchvision.transforms.functional import to_pil_image

from dbot.models.subject import Subject
from dbot.tasks.measuring.findings import Finding, Run
from tests.train.small import ALONE, AS_THEY_ARE

IDS = ImageNetInfo().label_names()
"""WordNet ids of ImageNet's classes, in their order."""
SIZE = 8
PREPARED = {"input_size": (3, SIZE, SIZE), "interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "center"}
RUN = Run(ALONE, batch=3, precision="fp32")


def image(path: Path, first: int, second: int = 0, size: int = SIZE) -> None:
    """An image that the classifier takes for one class, and next for another, below 256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size), (first % 256, first // 256, second)).save(path)


class Reader(nn.Module):
    """Reads the two classes off the colour: their logits are 10 and 5, all others 0."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, images_BCHW: Tensor) -> Tensor:
        red, green, blue = (images_BCHW[:, :, 0, 0] * 255).round().long().unbind(1)
        logits = torch.zeros(len(images_BCHW), self.outputs).scatter(1, blue.unsqueeze(1), 5.0)
        return logits.scatter(1, (red + 256 * green).unsqueeze(1), 10.0)


def subject(outputs: int = 1000, names: list[str] | None = None) -> Subject:
    pillow = create_transform(**PREPARED, is_training=False, use_prefetcher=True)
    return Subject(
        Reader(outputs), "colours", outputs, names, SIZE, AS_THEY_ARE, lambda pixels: pillow(to_pil_image(pixels)), PREPARED, "average"
    )


def values(found: list[Finding]) -> dict[str, float]:
    """By metric, those that are of the whole."""
    return {one.metric: one.value for one in found if not one.part}
