"""Smaller copies of images."""

import io

import numpy as np
from PIL import Image
from torch import Tensor

from dbot.data.images import JPEG_MAGIC
from dbot.params.datasets import Jpeg

SUBSAMPLING = {"full": 0, "half": 2}
"""Pillow's number for how densely JPEG keeps colours."""


def shrunk(content: bytes, pixels: Tensor, short_side: int, jpeg: Jpeg) -> bytes:
    """A file's bytes with its image shrunk to a short side; those of an image that isn't larger are returned as they are.

    What came as JPEG stays one; all else becomes PNG.
    Pillow shrinks in integers, so every machine gets the same pixels.

    Args:
        content: the file's bytes.
        pixels: its decoded image, uint8 RGB (3, H, W).
        short_side: in pixels.
        jpeg: how JPEG is written.
    """
    height, width = pixels.shape[1:]
    if min(height, width) <= short_side:
        return content
    scale = short_side / min(height, width)
    image = Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()))
    image = image.resize((max(short_side, round(width * scale)), max(short_side, round(height * scale))), Image.Resampling.BICUBIC)
    if content.startswith(JPEG_MAGIC):
        return encoded(image, "JPEG", quality=jpeg.quality, subsampling=SUBSAMPLING[jpeg.colours])
    return encoded(image, "PNG", compress_level=6)


def encoded(image: Image.Image, kind: str, **settings: int) -> bytes:
    """The bytes of an image file."""
    stream = io.BytesIO()
    image.save(stream, kind, **settings)
    return stream.getvalue()
