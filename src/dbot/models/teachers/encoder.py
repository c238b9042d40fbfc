"""An encoder of this project as a teacher: a student of a stage before, or one that was never trained."""

from typing import Any

import torch
from torch import Tensor, nn

from dbot.models.encoder import encode_all
from dbot.models.teachers.teacher import Teacher
from dbot.params.scales import Normalisation


class EncoderTeacher(Teacher):
    """An encoder whose last block's tokens are regressed, class token first.

    Args:
        encoder: the network; its image size decides the grid of its tokens.
        final_norm: whether its final LayerNorm is applied; the published code leaves it out.
        statistics: those with which it was, or its student is, trained.
    """

    has_class_token = True

    def __init__(self, encoder: Any, final_norm: bool, statistics: Normalisation) -> None:
        super().__init__(int(encoder.patch_embed.img_size[0]), statistics)
        self.encoder = encoder
        # Looked up once: a look-up in every step notes the kind of encoder, and so would have the second step compiled again.
        self._encode = encode_all.dispatch(type(encoder))
        self.final_norm = final_norm
        self.width, self.grid = int(encoder.embed_dim), int(encoder.patch_embed.grid_size[0])
        self.requires_grad_(False).eval()

    def tokens(self, images_BCHW: Tensor) -> Tensor:
        return self._encode(self.encoder, images_BCHW, self.final_norm)

    @torch.no_grad()
    def follow(self, encoder: nn.Module, momentum: float) -> None:
        """Move every weight towards another encoder's of its shape: momentum times the old plus the rest of the new."""
        for own, other in zip(self.encoder.parameters(), encoder.parameters(), strict=True):
            own.lerp_(other, 1 - momentum)
