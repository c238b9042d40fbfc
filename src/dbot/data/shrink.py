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

    Args:
        content: the file's bytes.
        pixels: its decoded image, uint8 RGB (3, H, W).
        short_side: in pixels.
        jpeg: how JPEG is written.
    """
    if min(pixels.shape[1:]) <= short_side:
        return content
    image = _resized(pixels, short_side)
    if content.startswith(JPEG_MAGIC):
        return encoded(image, "JPEG", quality=jpeg.quality, subsampling=SUBSAMPLING[jpeg.colours])
    return encoded(image, "PNG", compress_level=6)


def shrunk_pixels(pixels: Tensor, short_side: int) -> bytes:
    """A PPM file of an image, uint8 RGB (3, H, W), shrunk to a short side, or of its own size where it isn't larger."""
    return encoded(_resized(pixels, short_side), "PPM")


def _resized(pixels: Tensor, short_side: int) -> Image.Image:
    """The image at a short side of at most so many pixels. Pillow shrinks in integers, so every machine gets the same pixels."""
    image = Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()))
    height, width = pixels.shape[1:]
    if min(height, width) <= short_side:
        return image
    scale = short_side / min(height, width)
    return image.resize((max(short_side, round(width * scale)), max(short_side, round(height * scale))), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **settings: int) -> bytes:
    """The bytes of an image file."""
    stream = io.BytesIO()
    image.save(stream, kind, **settings)
    return stream.getvalue()
