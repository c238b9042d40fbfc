"""Crops of training and evaluation, on uint8 images; pixel statistics are applied to whole batches on the device."""

from collections.abc import Callable, Iterable

import torch
from timm.data import create_transform
from torch import Tensor
from torchvision.transforms import RandomResizedCrop, v2
from torchvision.transforms.functional import to_pil_image

from dbot.params.recipes import Augmentation, FinetuneAugmentation
from dbot.params.scales import Normalisation

Transform = Callable[[Tensor], Tensor]
"""uint8 RGB image (3, H, W) to uint8 crop (3, size, size)."""

ViewsTransform = Callable[[Tensor], tuple[Tensor, ...]]
"""uint8 RGB image (3, H, W) to uint8 views of one crop, each (3, its size, its size)."""


def pretrain_transform(augmentation: Augmentation, size: int) -> Transform:
    """Random resized crop (bicubic), flip and, where asked for, colour jitter."""
    steps: list[Callable[[Tensor], Tensor]] = []
    if augmentation.color_jitter:
        strength = augmentation.color_jitter
        steps.append(v2.ColorJitter(strength, strength, strength))
    steps += [
        v2.RandomResizedCrop(
            size,
            scale=(augmentation.crop_scale[0], augmentation.crop_scale[1]),
            ratio=(augmentation.crop_ratio[0], augmentation.crop_ratio[1]),
            interpolation=v2.InterpolationMode.BICUBIC,
            antialias=True,
        ),
        v2.RandomHorizontalFlip(augmentation.flip),
    ]
    composed: Transform = v2.Compose(steps)
    return composed


def views_transform(augmentation: Augmentation, sizes: Iterable[int]) -> ViewsTransform:
    """Colour jitter and flip, then one random box of the image at every size (bicubic).

    Args:
        augmentation: the figures.
        sizes: sides of the views in pixels; sizes that agree are one view.
    """
    strength = augmentation.color_jitter
    steps: list[Callable[[Tensor], Tensor]] = [v2.ColorJitter(strength, strength, strength)] if strength else []
    whole = v2.Compose([*steps, v2.RandomHorizontalFlip(augmentation.flip)])
    different = tuple(dict.fromkeys(sizes))

    def views(image: Tensor) -> tuple[Tensor, ...]:
        image = whole(image)
        box = RandomResizedCrop.get_params(image, augmentation.crop_scale, augmentation.crop_ratio)
        return tuple(
            v2.functional.resized_crop(image, *box, size=[size, size], interpolation=v2.InterpolationMode.BICUBIC, antialias=True)
            for size in different
        )

    return views


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


def normalise(images_BCHW: Tensor, statistics: Normalisation) -> Tensor:
    """uint8 pixels to float32, minus mean over standard deviation."""
    shape = (1, 3, 1, 1)
    mean = torch.tensor(statistics.mean, device=images_BCHW.device).view(shape)
    std = torch.tensor(statistics.std, device=images_BCHW.device).view(shape)
    return (images_BCHW.float() / 255 - mean) / std
