"""Training crops of images with label maps, and random colours, on uint8 images; pixel statistics are applied on the device."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode, functional

from dbot.data.labelmaps.values import IGNORE
from dbot.params.dense import SegmentAugmentation
from dbot.params.scales import Normalisation

MapTransform = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""uint8 RGB image (3, H, W) and classes uint8 (H, W) to a uint8 crop (3, S, S) and its classes, int64 (S, S)."""

TRIES = 10
"""How often a crop is drawn again for more variety."""


def training_transform(config: SegmentAugmentation, statistics: Normalisation) -> MapTransform:
    """Resizing with jitter, a crop of several classes, flip, distortion, and padding where the image is smaller than the crop.

    As mmsegmentation's pipeline does for ADE20K. It pads normalised images with 0; here, before
    the normalisation, that is the mean colour.
    """
    mean_colour = [round(255 * value) for value in statistics.mean]

    def transform(image: Tensor, classes_HW: Tensor) -> tuple[Tensor, Tensor]:
        factor = uniform(*config.scale_jitter)
        size = fitted(classes_HW.shape, int(config.long_side * factor), int(config.short_side * factor))
        image, classes_HW = resized(image, size), resized_classes(classes_HW, size)
        rows, columns = draw_crop(classes_HW, config.crop, config.largest_share)
        image, classes_HW = image[:, rows, columns], classes_HW[rows, columns]
        if uniform(0, 1) < config.flip:
            image, classes_HW = image.flip(-1), classes_HW.flip(-1)
        if config.distortion:
            image = distort(image)
        height, width = classes_HW.shape
        beyond = [0, 0, config.crop - width, config.crop - height]
        image = functional.pad(image, beyond, fill=mean_colour)
        classes_HW = functional.pad(classes_HW.unsqueeze(0), beyond, fill=IGNORE).squeeze(0)
        return image, classes_HW.long()

    return transform


def fitted(size: Sequence[int], long_side: int, short_side: int) -> tuple[int, int]:
    """Height and width in pixels: the largest of the aspect ratio of ``size`` that fit into a long and a short side."""
    factor = min(long_side / max(size), short_side / min(size))
    height, width = (max(1, int(side * factor + 0.5)) for side in size)
    return height, width


def resized(image: Tensor, size: Sequence[int]) -> Tensor:
    """An image (3, H, W) at another (height, width): bilinear without antialiasing, as the published results were made."""
    found: Tensor = functional.resize(image, list(size), interpolation=InterpolationMode.BILINEAR, antialias=False)
    return found


def resized_classes(classes_HW: Tensor, size: Sequence[int]) -> Tensor:
    """Classes at another (height, width): those of the nearest pixels."""
    found: Tensor = functional.resize(classes_HW.unsqueeze(0), list(size), interpolation=InterpolationMode.NEAREST)
    return found.squeeze(0)


def draw_crop(classes_HW: Tensor, side: int, largest_share: float) -> tuple[slice, slice]:
    """Rows and columns of a random square, or of as much of it as the image has.

    Drawn again, some ten times at most, while one class has ``largest_share`` of the labelled
    pixels or more, or no pixel has a class.
    """
    height, width = classes_HW.shape
    for _ in range(TRIES + 1):
        top, left = (int(torch.randint(max(0, extent - side) + 1, ())) for extent in (height, width))
        place = slice(top, top + side), slice(left, left + side)
        if largest_share >= 1:
            break
        counts = torch.bincount(classes_HW[place].flatten(), minlength=IGNORE + 1)[:IGNORE]
        if counts.max() < largest_share * counts.sum():
            break
    return place


def uniform(low: float, high: float) -> float:
    """A draw from torch's generator of the CPU."""
    return low + (high - low) * float(torch.rand(()))


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
