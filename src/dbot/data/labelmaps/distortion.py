"""Random colours: SSD's photometric distortion (arXiv 1512.02325), without swapping channels, in mmsegmentation's order and ranges."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

BRIGHTNESS = 32.0
"""Largest step up or down, in grey levels."""
FACTOR = (0.5, 1.5)
"""Smallest and largest factor on contrast and on saturation."""
HUE = 0.1
"""Largest turn of the hue, as a share of the circle."""


def distort(image: Tensor) -> Tensor:
    """Change brightness, contrast, saturation and hue, each with probability 1/2: uint8 RGB (3, H, W)."""
    brightness, contrast, saturation, hue, early = torch.rand(5).lt(0.5).tolist()
    shift, contrast_factor, saturation_factor, turn = torch.rand(4).tolist()
    if brightness:
        image = _clipped(image + BRIGHTNESS * (2 * shift - 1))
    if contrast and early:
        image = _clipped(image * _factor(contrast_factor))
    if saturation or hue:
        image = _colours(image, _factor(saturation_factor) if saturation else 1.0, HUE * (2 * turn - 1) if hue else 0.0)
    if contrast and not early:
        image = _clipped(image * _factor(contrast_factor))
    return image


def _factor(share: float) -> float:
    return FACTOR[0] + (FACTOR[1] - FACTOR[0]) * share


def _clipped(levels: Tensor) -> Tensor:
    return levels.clamp(0, 255).to(torch.uint8)


def _colours(image: Tensor, saturation: float, turn: float) -> Tensor:
    # Pillow's HSV: torchvision turns the hue in twice the time, and its saturation is a blend with grey.
    pillow = Image.fromarray(np.ascontiguousarray(image.permute(1, 2, 0).numpy())).convert("HSV")
    hue, saturated, value = np.moveaxis(np.array(pillow), 2, 0)
    hue = hue + np.uint8(round(256 * turn) % 256)  # wraps around, as the circle does
    saturated = np.minimum(saturated * np.float32(saturation), 255).astype(np.uint8)
    turned = Image.fromarray(np.stack([hue, saturated, value], axis=2), mode="HSV").convert("RGB")
    return torch.from_numpy(np.array(turned)).permute(2, 0, 1)
