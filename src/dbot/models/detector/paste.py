"""Masks from the frame of a box to that of the image."""

import math

import torch
from torch import Tensor
from torch.nn import functional


def paste(mask_MM: Tensor, box_4: Tensor, height: int, width: int, threshold: float) -> Tensor:
    """Pixels of an image that belong to a mask, (height, width) bool.

    The mask is resampled at the pixels' centres (bilinear, 0 beyond the box, as mmdet does) and cut after that. One at a time: a
    hundred float32 masks of an image would take 120 MB. torchvision's own pasting would round the
    box to whole pixels.

    Args:
        mask_MM: probabilities within the box.
        box_4: xyxy in pixels of the image.
        height: of the image.
        width: of the image.
        threshold: probability from which a pixel belongs to the mask.
    """
    x0, y0, x1, y1 = box_4.tolist()
    left, right = max(0, math.floor(x0)), min(width, math.ceil(x1))
    top, bottom = max(0, math.floor(y0)), min(height, math.ceil(y1))
    pasted_HW = torch.zeros(height, width, dtype=torch.bool)
    if left >= right or top >= bottom or x0 >= x1 or y0 >= y1:
        return pasted_HW
    across = (torch.arange(left, right) + 0.5 - x0) / (x1 - x0) * 2 - 1
    down = (torch.arange(top, bottom) + 0.5 - y0) / (y1 - y0) * 2 - 1
    places_HW2 = torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1)
    sampled = functional.grid_sample(mask_MM[None, None], places_HW2[None], align_corners=False)
    pasted_HW[top:bottom, left:right] = sampled[0, 0] >= threshold
    return pasted_HW
