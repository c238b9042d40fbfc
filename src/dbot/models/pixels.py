"""Teachers that take pixels: each normalises them as it was trained, so a student need not know how."""

import torch
from torch import Tensor, nn

from dbot.models.teacher import EncoderTeacher
from dbot.params.scales import Normalisation


class Teacher(nn.Module):
    """A frozen network: pixels in 0..1 (B, 3, H, W) in, tokens (B, [1 +] grid², width) out."""

    width: int
    """Width of its tokens."""
    grid: int
    """Patches along one side."""
    image_size: int
    """Side of the images that it sees, in pixels."""
    has_class_token: bool
    """Whether its first token is a class token."""


class EncoderPixelTeacher(Teacher):
    """An encoder of this project, on pixels that are normalised with the students' statistics."""

    mean: Tensor
    std: Tensor

    def __init__(self, teacher: EncoderTeacher, statistics: Normalisation) -> None:
        super().__init__()
        self.teacher = teacher
        self.width, self.grid, self.has_class_token = teacher.width, teacher.grid, True
        self.image_size = int(teacher.encoder.patch_embed.img_size[0])
        self.register_buffer("mean", torch.tensor(statistics.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(statistics.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        tokens: Tensor = self.teacher((pixels_BCHW - self.mean) / self.std)
        return tokens
