"""Labelling whole images with a network that was trained on crops."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from dbot.data.labelmaps.transforms import fitted, resized
from dbot.data.transforms import normalise
from dbot.models.segmenter import Segmenter, enlarged
from dbot.params.dense import SegmentInference
from dbot.params.scales import Normalisation


@torch.no_grad()
def label_image(
    segmenter: Segmenter,
    image: Tensor,
    size: Sequence[int],
    config: SegmentInference,
    statistics: Normalisation,
    at_once: int,
) -> Tensor:
    """The class of every pixel, int64 (H, W) on the image's device.

    Args:
        segmenter: in eval mode.
        image: uint8 RGB (3, h, w).
        size: (H, W) of the result.
        config: size at which the image is looked at, and the windows.
        statistics: of the pixels.
        at_once: windows in one forward pass.
    """
    seen = resized(image, fitted(image.shape[1:], config.long_side, config.short_side))
    logits = slide(segmenter, normalise(seen.unsqueeze(0), statistics)[0], config.window, config.stride, at_once)
    return enlarged(logits.unsqueeze(0), size)[0].argmax(dim=0)


def slide(segmenter: Segmenter, image_CHW: Tensor, window: int, stride: int, at_once: int) -> Tensor:
    """Logits (K, H, W) of a normalised image, float32, averaged where windows overlap.

    The last window of a row or column is moved back until it lies within the image (as
    mmsegmentation does); a side that is shorter than the window is covered by one.
    """
    height, width = image_CHW.shape[1:]
    places = [(rows, columns) for rows in _spans(height, window, stride) for columns in _spans(width, window, stride)]
    total, count = image_CHW.new_zeros(segmenter.classes, height, width), image_CHW.new_zeros(height, width)
    for begin in range(0, len(places), at_once):
        here = places[begin : begin + at_once]
        found_BKHW = _logits(segmenter, torch.stack([image_CHW[:, rows, columns] for rows, columns in here]))
        for (rows, columns), logits_KHW in zip(here, found_BKHW, strict=True):
            total[:, rows, columns] += logits_KHW
            count[rows, columns] += 1
    return total / count


def _spans(extent: int, window: int, stride: int) -> list[slice]:
    last = max(0, extent - window)
    return [slice(start, start + window) for start in [*range(0, last, stride), last]]


def _logits(segmenter: Segmenter, windows_BCHW: Tensor) -> Tensor:
    """Logits (B, K, H, W) of windows, which are padded with the mean colour to what the pyramid can take."""
    height, width = windows_BCHW.shape[2:]
    divisor = segmenter.pyramid.divisor
    padded = functional.pad(windows_BCHW, [0, -width % divisor, 0, -height % divisor])
    return enlarged(segmenter(padded)[0], padded.shape[2:])[:, :, :height, :width]
