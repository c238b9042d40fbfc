"""Teachers: images in, frozen tokens on the student's grid out."""

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional

from dbot.models.encoder import encode_all


class EncoderTeacher(nn.Module):
    """A plain ViT whose last block's tokens are regressed. It is frozen and in eval mode, always.

    Args:
        encoder: the network; its image size decides the grid of its tokens.
        final_norm: whether its final LayerNorm is applied; the published code leaves it out.
    """

    def __init__(self, encoder: VisionTransformer, final_norm: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.final_norm = final_norm
        self.requires_grad_(False).eval()

    @property
    def width(self) -> int:
        """Width of its tokens."""
        return int(self.encoder.embed_dim)

    @property
    def grid(self) -> int:
        """Patches along one side."""
        return int(self.encoder.patch_embed.grid_size[0])

    def train(self, mode: bool = True) -> "EncoderTeacher":
        """Does nothing: a teacher never leaves eval mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Tokens of the whole image, class token first: (B, 1 + N, width). Resizes the images to its own size."""
        size = tuple(self.encoder.patch_embed.img_size)
        if images_BCHW.shape[-2:] != size:
            images_BCHW = functional.interpolate(images_BCHW, size, mode="bicubic", antialias=True, align_corners=False)
        return encode_all(self.encoder, images_BCHW, self.final_norm)
