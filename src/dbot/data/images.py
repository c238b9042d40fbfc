"""Image files to pixels: one decoder for every place that reads images.

JPEG by simplejpeg, which gives the bits that Pillow gives in four fifths of the time, and
uncompressed pixels as they lie in their file (see docs/speed.md). Whatever these refuse, and every
other format, by Pillow: it says what is wrong.
"""

import io
import os
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from PIL import Image
from simplejpeg import decode_jpeg, decode_jpeg_header
from torch import Tensor

from dbot.base.errors import UserError
from dbot.params.datasets import Jpeg

BROKEN = (OSError, ValueError, SyntaxError, RuntimeError, EOFError, LookupError, TypeError, ArithmeticError, struct.error, MemoryError)
"""What Pillow raises for damaged files, depending on the format and on what is damaged."""

ORIENTATION = 0x0112
"""EXIF's tag of how the camera was held."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By orientation, what sets the image upright. Pillow's own `exif_transpose` also rewrites the EXIF, and fails on damaged ones."""

SIDEWAYS = (Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90)
"""Turns that exchange height and width."""

JPEG_MAGIC = b"\xff\xd8\xff"
JPEG_SEGMENTS = frozenset(bytes([marker]) for marker in (*range(0xC0, 0xD0), *range(0xDB, 0xFF)))
"""Markers before the first scan that a length follows."""
JPEG_MOST_PIXELS = 512
"""Pixels that a byte of a JPEG file can hold at most: one bit for a block of 8 x 8."""

PIXELS_HEADER = re.compile(rb"P6\n([1-9][0-9]*) ([1-9][0-9]*)\n255\n")
"""How a PPM file of 8-bit RGB pixels begins if Pillow wrote it: width and height. What follows is the pixels."""

SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")


def read_image(path: Path, upright: bool = True) -> torch.Tensor:
    """Pixels of an image file, uint8 RGB (3, H, W), turned as its EXIF orientation says unless they are not to stand ``upright``.

    Grey and CMYK are converted, alpha is dropped, 16 bits are scaled to 8, of an animation
    the first frame is taken.

    Raises:
        UserError: the file is missing, or is no image that can be decoded whole.
    """
    try:
        with path.open("rb") as stream:
            content = bytearray(os.fstat(stream.fileno()).st_size)
            del content[stream.readinto(content) :]
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); restore it") from None
    return decode_image(content, path, upright)


def decode_image(content: bytes | bytearray, path: Path, upright: bool = True) -> torch.Tensor:
    """As `read_image`, of a file's bytes, whose memory the pixels may share; ``path`` is only for the message."""
    if not content:
        raise UserError(f"{path}: is empty (0 bytes); restore it from the source of the data set")
    pixels = _from_jpeg(content) if _is_plain_jpeg(content) else _uncompressed(content)
    return _by_pillow(content, path, upright) if pixels is None else pixels


def _uncompressed(content: bytes | bytearray) -> torch.Tensor | None:
    """Pixels of a PPM file as they lie there, or None for any other file and for one that is cut off."""
    header = PIXELS_HEADER.match(content)
    if header is None or len(content) - header.end() != 3 * int(header[1]) * int(header[2]):
        return None
    return _tensor(content)[header.end() :].view(int(header[2]), int(header[1]), 3).permute(2, 0, 1)


def _tensor(content: bytes | bytearray) -> torch.Tensor:
    """Bytes as a tensor: without a copy if they may be written, which torch insists on."""
    return torch.frombuffer(content if isinstance(content, bytearray) else bytearray(content), dtype=torch.uint8)


def _is_plain_jpeg(content: bytes | bytearray) -> bool:
    """Whether a file says that it is JPEG, nothing in it could turn it, and it is too small for a decompression bomb."""
    fits = len(content) * JPEG_MOST_PIXELS < 2 * (Image.MAX_IMAGE_PIXELS or 0)
    if not (content.startswith(JPEG_MAGIC) and fits):
        return False
    header = content[: _first_scan(content)]
    return b"Exif" not in header and b"tiff:Orientation" not in header


def _first_scan(content: bytes | bytearray) -> int:
    """Where a JPEG file's pixels begin, or its length where segment doesn't follow segment up to there."""
    place = 2
    while content[place : place + 1] == b"\xff" and bytes(content[place + 1 : place + 2]) in JPEG_SEGMENTS:
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return place if content[place : place + 2] == b"\xff\xda" else len(content)


def _from_jpeg(content: bytes | bytearray) -> torch.Tensor | None:
    """Pixels of a JPEG file by libjpeg-turbo, or None where it finds anything odd, and for CMYK, which it converts in a way of its own."""
    try:
        if decode_jpeg_header(content)[2] not in ("YCbCr", "Gray", "RGB"):
            return None
        return torch.from_numpy(decode_jpeg(content)).permute(2, 0, 1)
    except (ValueError, MemoryError):
        return None


def _by_pillow(content: bytes | bytearray, path: Path, upright: bool = True) -> torch.Tensor:
    try:
        with Image.open(io.BytesIO(content)) as image:
            pixels = _rgb(image, upright)
    except (*BROKEN, Image.DecompressionBombError) as error:
        raise UserError(
            f"{path}: is not an image that can be decoded ({_reason(error)}); restore it from the source of the data set"
        ) from None
    return torch.from_numpy(pixels).permute(2, 0, 1)


class Header(NamedTuple):
    """What an image file says of itself."""

    stored: tuple[int, int]
    """Height and width of the pixels as they lie in the file."""
    orientation: int
    """EXIF's number of how they are turned to stand upright; 1: not at all."""

    @property
    def upright(self) -> tuple[int, int]:
        """Height and width of the pixels that `decode_image` gives."""
        return self.stored[::-1] if TURNS.get(self.orientation) in SIDEWAYS else self.stored


def image_header(content: bytes, path: Path) -> Header:
    """Size and orientation of an image.

    Raises:
        UserError: the header can't be read.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            return Header((image.height, image.width), _orientation(image))
    except (*BROKEN, Image.DecompressionBombError) as error:
        raise UserError(
            f"{path}: is not an image that can be decoded ({_reason(error)}); restore it from the source of the data set"
        ) from None


def read_label_map(path: Path, content: bytes | None = None) -> torch.Tensor:
    """Values of a label map, int32 (H, W): grey levels, or indices where the file has a palette.

    With ``content``, its bytes, the path is only for the message.

    Raises:
        UserError: the file is missing, can't be decoded, was saved with loss, or holds colours.
    """
    try:
        with Image.open(path if content is None else io.BytesIO(content)) as image:
            if image.format == "JPEG" or "jpeg" in str(image.info.get("compression")):
                raise UserError(saved_with_loss(path))
            values = np.array(image) if image.mode in ("1", "L", "P", "I", *SIXTEEN_BITS) else None
            mode = image.mode
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; every image needs a label map of its name") from None
    except (*BROKEN, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: is not a label map that can be decoded ({_reason(error)}); restore it") from None
    if values is None:
        raise UserError(f"{path}: holds {mode} pixels; a label map has one channel, the class number of each pixel")
    return torch.from_numpy(values.astype(np.int32))


def saved_with_loss(path: Path) -> str:
    """What to say of a label map that is a JPEG."""
    return f"{path}: is a JPEG, which keeps no exact values, so it can't be a label map; save it from its source as PNG"


def _rgb(image: Image.Image, upright: bool) -> np.ndarray:
    if image.mode in ("I", "F"):
        raise ValueError(f"its pixels are 32-bit ({image.mode}), of unknown range")
    turn = TURNS.get(_orientation(image)) if upright else None
    if image.mode in SIXTEEN_BITS:
        # Pillow's own conversion would clip at 255.
        image = Image.fromarray(((np.array(image).astype(np.uint32) + 128) // 257).astype(np.uint8))
    image = image.convert("RGB")
    return np.array(image if turn is None else image.transpose(turn))


def _orientation(image: Image.Image) -> int:
    """How an image is turned, a key of `TURNS`, or 1. Damaged EXIF says nothing of it, and is no reason to refuse the pixels."""
    try:
        said = image.getexif().get(ORIENTATION, 1)
        return int(said) if said in TURNS else 1
    except (*BROKEN, AttributeError):
        return 1


def _reason(error: BaseException) -> str:
    # Pillow names the in-memory stream, which tells a user nothing.
    text = str(error) or type(error).__name__
    return "unknown format" if text.startswith("cannot identify") else " ".join(text.split())


DECODERS = 8
"""Most threads that decode images."""

Key = TypeVar("Key")
Value = TypeVar("Value")


def read_ahead(read: Callable[[Key], Value], batches: Iterable[Sequence[Key]]) -> Iterator[list[Value]]:
    """What ``read`` gives for each batch of keys, in order; the next batch is read while the caller works on the last."""
    with ThreadPoolExecutor(min(DECODERS, len(os.sched_getaffinity(0)))) as pool:
        coming: list[Future[Value]] | None = None
        try:
            for batch in batches:
                next_ones = [pool.submit(read, key) for key in batch]
                if coming is not None:
                    yield [future.result() for future in coming]
                coming = next_ones
            if coming is not None:
                yield [future.result() for future in coming]
        finally:
            pool.shutdown(cancel_futures=True)


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
