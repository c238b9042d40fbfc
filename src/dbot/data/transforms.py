"""Crops of training and evaluation, on uint8 images; pixel statistics are applied to whole batches on the device."""

from collections.abc import Callable, Iterable

import torch
from timm.data import create_transform
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.functional import to_pil_image

from dbot.base.on_device import numbers_on
from dbot.params.recipes import Augmentation, FinetuneAugmentation
from dbot.params.scales import Normalisation

Transform = Callable[[Tensor], Tensor]
"""uint8 RGB image (3, H, W) to uint8 crop (3, size, size)."""

ViewsTransform = Callable[[Tensor], tuple[Tensor, ...]]
"""uint8 RGB image (3, H, W) to uint8 views of one crop, each (3, its size, its size)."""


def pretrain_transform(augmentation: Augmentation, size: int) -> Transform:
    """Random resized crop (bicubic), flip and, where asked for, colour jitter."""
    jitter, box = _jitter(augmentation), _box(augmentation)

    def crop(image: Tensor) -> Tensor:
        image = jitter(image)
        return _flipped(_resized(image, size, **box.make_params([image])), augmentation.flip)

    return crop


def views_transform(augmentation: Augmentation, sizes: Iterable[int]) -> ViewsTransform:
    """Colour jitter and flip, then one random box of the image at every size (bicubic).

    Args:
        augmentation: the configuration.
        sizes: sides of the views in pixels; sizes that agree are one view.
    """
    jitter, box = _jitter(augmentation), _box(augmentation)
    different = tuple(dict.fromkeys(sizes))

    def views(image: Tensor) -> tuple[Tensor, ...]:
        image = _flipped(jitter(image), augmentation.flip)
        drawn = box.make_params([image])
        return tuple(_resized(image, size, **drawn) for size in different)

    return views


def _jitter(augmentation: Augmentation) -> Transform:
    strength = augmentation.color_jitter
    jitter: Transform = v2.ColorJitter(strength, strength, strength) if strength else lambda image: image
    return jitter


def _box(augmentation: Augmentation) -> v2.RandomResizedCrop:
    """What draws a crop's box; it is cut out and resized by `_resized`."""
    scale, ratio = augmentation.crop_scale, augmentation.crop_ratio
    return v2.RandomResizedCrop(1, scale=(scale[0], scale[1]), ratio=(ratio[0], ratio[1]))


def _flipped(image: Tensor, probability: float) -> Tensor:
    """The image, mirrored with a probability, by the draw of torchvision's RandomHorizontalFlip."""
    return image.flip(-1) if torch.rand(1) < probability else image


def _resized(image: Tensor, size: int, top: int, left: int, height: int, width: int) -> Tensor:
    """A part of the image as a square (bicubic), its channels together in memory where those of the image are.

    Cut out first, it takes torchvision's quickest kernel; called by itself, that goes without the dispatch around it.
    """
    part = image[:, top : top + height, left : left + width].permute(1, 2, 0).contiguous().permute(2, 0, 1)
    square: Tensor = v2.functional.resize_image(part, [size, size], interpolation=v2.InterpolationMode.BICUBIC, antialias=True)
    return square


def finetune_transform(augmentation: FinetuneAugmentation, size: int) -> Transform:
    """timm's training transform up to the pixels; erasing and mixing come later, on batches."""
    pillow = create_transform(
        size,
        is_training=True,
        use_prefetcher=True,
        scale=tuple(augmentation.crop_scale),
        hflip=augmentation.flip,
        color_jitter=None,
        auto_augment=augmentation.rand_augment,
        interpolation="bicubic",
    )
    return lambda image: pillow(to_pil_image(image))


def evaluation_transform(size: int, resize: float) -> Transform:
    """Short side to ``resize`` times the crop size (bicubic), then the central crop."""
    composed: Transform = v2.Compose(
        [
            v2.Resize(round(size * resize), interpolation=v2.InterpolationMode.BICUBIC, antialias=True),
            v2.CenterCrop(size),
        ]
    )
    return composed


def in_unit_range(images_BCHW: Tensor) -> Tensor:
    """uint8 pixels to float32 in 0..1, each channel by itself in memory, however the loader left them."""
    return images_BCHW.to(torch.float32, memory_format=torch.contiguous_format) / 255


def normalise(images_BCHW: Tensor, statistics: Normalisation) -> Tensor:
    """uint8 pixels to float32, minus mean over standard deviation."""
    mean, std = (numbers_on(images_BCHW.device, *figures).view(1, 3, 1, 1) for figures in (statistics.mean, statistics.std))
    return (in_unit_range(images_BCHW) - mean) / std
