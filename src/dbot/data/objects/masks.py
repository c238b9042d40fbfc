"""COCO's segmentations (polygons, run lengths, compressed run lengths) as compressed run lengths, and those as pixels.

Pycocotools does the work. It trusts what it is given: run lengths that fill only a part of the
image leave the rest of the mask to whatever lay in memory, and a polygon of two points is taken
for a box. So everything is checked first.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

Mask = npt.NDArray[np.uint8]
"""(H, W); 1 where the object is, 0 elsewhere."""


def compressed(segmentation: Any, height: int, width: int) -> bytes:
    """The compressed run lengths of a segmentation as a COCO file has it.

    Args:
        segmentation: a list of polygons [x, y, x, y, ...], or {size, counts} with counts a list or a string.
        height: of the image, in pixels.
        width: of the image, in pixels.

    Raises:
        ValueError: it can't be decoded; says why.
    """
    if isinstance(segmentation, dict):
        return _from_runs(segmentation, height, width)
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError("there is neither a polygon nor a run length")
    for polygon in segmentation:
        _check_polygon(polygon, height, width)
    merged: bytes = coco.merge(coco.frPyObjects(segmentation, height, width))["counts"]
    return merged


def compressed_mask(mask: npt.NDArray[Any]) -> bytes:
    """The compressed run lengths of a mask (H, W)."""
    counts: bytes = coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"]
    return counts


def pixels(counts: list[bytes], height: int, width: int) -> Mask:
    """The masks (N, H, W) of compressed run lengths that `compressed` or `compressed_mask` gave."""
    if not counts:
        return np.zeros((0, height, width), dtype=np.uint8)
    decoded: Mask = coco.decode([{"size": [height, width], "counts": one} for one in counts])
    return np.ascontiguousarray(decoded.transpose(2, 0, 1))


def area(counts: bytes, height: int, width: int) -> int:
    """Pixels of a mask."""
    return int(coco.area({"size": [height, width], "counts": counts}))


def box_of(counts: bytes, height: int, width: int) -> tuple[float, float, float, float]:
    """Left, top, width and height of the pixels of a mask; zeros where it has none."""
    left, top, wide, high = coco.toBbox({"size": [height, width], "counts": counts}).tolist()
    return left, top, wide, high


def has_outline(segmentation: Any) -> bool:
    """Whether there is anything that could be a mask: run lengths, or a polygon of three points or more."""
    if isinstance(segmentation, list):
        return any(
            not isinstance(polygon, list) or len(polygon) >= 6 or isinstance(next(iter(polygon), None), list) for polygon in segmentation
        )
    return bool(segmentation)


def _check_polygon(polygon: Any, height: int, width: int) -> None:
    try:
        points = np.array(polygon, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError("a polygon is not a list of numbers") from None
    if points.ndim == 0:
        raise ValueError("its numbers stand alone, where a list of polygons must; put them into one more pair of brackets")
    if points.ndim > 1:
        raise ValueError("its points are pairs, where x, y, x, y and so on must follow each other in one list")
    if len(points) < 6 or len(points) % 2:
        raise ValueError(f"a polygon has {points.size} numbers; three points or more, two numbers each, make one")
    # Rasterising takes memory in proportion to the length of the edges, so a slip of the decimal point would take all of it.
    side = max(height, width)
    if not (points.min() >= -side and points.max() <= 2 * side):
        raise ValueError(f"a polygon reaches from {points.min():g} to {points.max():g}, far beyond the image of {width} x {height} pixels")


def _from_runs(segmentation: dict[str, Any], height: int, width: int) -> bytes:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        exchanged = "; height and width are exchanged" if size == [width, height] else ""
        raise ValueError(f"its run lengths are for {size} (height, width), the image has {[height, width]}{exchanged}")
    if isinstance(counts, str) and counts.startswith(("b'", 'b"')):
        raise ValueError("its counts are Python's text of bytes (b'...'); decode them before they are written")
    if isinstance(counts, str | bytes):
        text = counts.encode() if isinstance(counts, str) else counts
        runs = _run_lengths(text)
    elif isinstance(counts, list) and all(isinstance(run, int) for run in counts):
        text, runs = None, counts
    else:
        raise ValueError("its counts are neither a string nor a list of whole numbers")
    if any(run < 0 for run in runs) or sum(runs) != height * width:
        raise ValueError(f"its run lengths cover {sum(runs)} pixels, the image has {height * width}")
    if text is not None:
        return text
    encoded: bytes = coco.frPyObjects({"size": [height, width], "counts": counts}, height, width)["counts"]
    return encoded


def _run_lengths(text: bytes) -> list[int]:
    """The numbers in a compressed string: groups of 5 bits, lowest first, each the difference to the run two before."""
    runs: list[int] = []
    value = shift = 0
    for group in (character - 48 for character in text):
        if not 0 <= group < 64:
            raise ValueError("its compressed run lengths hold a character that none can hold")
        value |= (group & 31) << shift
        shift += 5
        if not group & 32:
            difference = value - (1 << shift) if group & 16 else value
            runs.append(difference + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("its compressed run lengths end in the middle of a number")
    return runs
