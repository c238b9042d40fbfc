"""Images that look alike, by a perceptual hash: copies of another size, quality or format, which share no bytes."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 32
"""Of the grey image that is transformed, in pixels."""
KEPT = 8
"""Lowest frequencies that are kept, along each side."""


def perceptual_hash(pixels_HW3: npt.NDArray[np.uint8]) -> int:
    """pHash of an image, 64 bits (Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010).

    A bit says whether a low frequency of the image's cosine transform is above the median of them.
    """
    from scipy.fft import dctn

    grey_HW = np.asarray(Image.fromarray(pixels_HW3).convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS), dtype=np.float64)
    low = dctn(grey_HW)[:KEPT, :KEPT].ravel()
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def alike(train: list[int], validation: list[int], bits: int) -> Iterator[tuple[int, int]]:
    """The numbers of validation images that differ from a training image in so few bits, each with that of the nearest one."""
    hashes = np.array(train, dtype=np.uint64)
    for number, one in enumerate(validation if train else []):
        different = np.bitwise_count(hashes ^ np.uint64(one))
        nearest = int(different.argmin())
        if different[nearest] <= bits:
            yield number, nearest
