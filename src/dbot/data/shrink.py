"""Smaller copies of images."""

import io

import numpy as np
from PIL import Image
from torch import Tensor

JPEG_MAGIC = b"\xff\xd8\xff"


def shrunk(content: bytes, pixels: Tensor, short_side: int) -> bytes:
    """A file's bytes with its image shrunk to a short side; those of an image that isn't larger are returned as they are.

    What came as JPEG stays one, at quality 95 without chroma subsampling; all else becomes PNG.
    Pillow shrinks in integers, so every machine gets the same pixels.

    Args:
        content: the file's bytes.
        pixels: its decoded image, uint8 RGB (3, H, W).
        short_side: in pixels.
    """
    height, width = pixels.shape[1:]
    if min(height, width) <= short_side:
        return content
    scale = short_side / min(height, width)
    image = Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()))
    image = image.resize((max(short_side, round(width * scale)), max(short_side, round(height * scale))), Image.Resampling.BICUBIC)
    if content.startswith(JPEG_MAGIC):
        return encoded(image, "JPEG", quality=95, subsampling=0)
    return encoded(image, "PNG", compress_level=6)


def encoded(image: Image.Image, kind: str, **settings: int) -> bytes:
    """The bytes of an image file."""
    stream = io.BytesIO()
    image.save(stream, kind, **settings)
    return stream.getvalue()
