"""What every teacher is. It takes pixels and normalises them as it was trained, so a student need not know how."""

import hashlib

import torch
from torch import Tensor, nn
from torch.nn import functional

from dbot.params.scales import Normalisation


class Teacher(nn.Module):
    """A frozen network in eval mode: pixels in 0..1 (B, 3, H, W) in, tokens (B, [1 +] grid², width) out.

    Args:
        image_size: side of the images that it sees, in pixels; others are resized to it.
        statistics: mean and standard deviation of pixels with which it was trained.
    """

    width: int
    """Width of its tokens."""
    grid: int
    """Patches along one side."""
    has_class_token: bool
    """Whether its first token is a class token."""
    mean: Tensor
    std: Tensor

    def __init__(self, image_size: int, statistics: Normalisation) -> None:
        super().__init__()
        self.image_size = image_size
        self.register_buffer("mean", torch.tensor(statistics.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(statistics.std).view(1, 3, 1, 1), persistent=False)

    def tokens(self, images_BCHW: Tensor) -> Tensor:
        """Tokens of normalised images of its size. Each kind of teacher says how."""
        raise NotImplementedError

    def train(self, mode: bool = True) -> "Teacher":
        """Does nothing: a teacher never leaves eval mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        """Tokens of whole images: (B, [1 +] grid², width)."""
        size = (self.image_size, self.image_size)
        if pixels_BCHW.shape[-2:] != size:
            pixels_BCHW = functional.interpolate(pixels_BCHW, size, mode="bicubic", antialias=True, align_corners=False)
        return self.tokens((pixels_BCHW - self.mean) / self.std)

    def hold_weights_in(self, dtype: torch.dtype) -> None:
        """Round the weights of matrix products and convolutions to the type in which autocast computes them, once instead of in every step.

        Autocast gives the same bits then, as it keeps everything else (norms, positions, scales) as it is. A teacher that
        follows a student can't be held so: its small moves would be rounded away.
        """
        for part in self.modules():
            if isinstance(part, nn.Linear | nn.Conv2d):
                part.to(dtype)

    def digest(self) -> str:
        """SHA-256 of its weights, names included: what a receipt knows a teacher by that came with no receipt of its own."""
        found = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            found.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return found.hexdigest()
