"""Declarations of plain Vision Transformers."""

from pydantic import PositiveFloat, PositiveInt

from dbot.params.section import Section


class Architecture(Section):
    """A plain ViT (pre-norm blocks, LayerNorm eps 1e-6, qkv bias, class token first)."""

    title: str
    """Name as the table shows it."""
    image_size: PositiveInt
    """Side of the images in pre-training, in pixels."""
    patch_size: PositiveInt
    """Side of a patch, in pixels; it must divide the image size."""
    width: PositiveInt
    """Embedding dimension; it must be a multiple of four times one (sin-cos positions) and of the heads."""
    depth: PositiveInt
    """Number of blocks."""
    heads: PositiveInt
    """Attention heads per block."""
    mlp_ratio: PositiveFloat
    """Hidden width of a block's MLP over the embedding dimension."""

    @property
    def grid(self) -> int:
        """Patches along one side of the image."""
        return self.image_size // self.patch_size
