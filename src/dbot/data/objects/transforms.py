"""Sizes and crops of images with objects: what a detector sees in training and in evaluation.

The policy is that of DETR (arXiv 2005.12872) as the published configuration has it. Boxes follow
the image and are cut at its border; they are not drawn anew around what is left of a mask.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from dbot.params.dense import DetectAugmentation, DetectInference

Target = dict[str, Any]
"""boxes (N, 4) float32 xyxy in pixels, labels (N,) int64 from 1 on, masks (N, H, W) uint8 unless the set has none, image_id."""

TrainingTransform = Callable[[Tensor, Target], tuple[Tensor, Target]]
"""uint8 image (3, H, W) and its target to those of a training view."""

SMALLEST = 1.0
"""Pixels that a box must be wide and high to be learnt; regression targets of thinner ones explode."""


def fitted(height: int, width: int, short_side: int, long_side: float) -> tuple[int, int]:
    """Height and width in pixels with this short side, or with this long side if it would become longer."""
    scale = min(short_side / min(height, width), long_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


class RandomShortSide(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Resize to one of several short sides. Unlike torchvision's `RandomShortestSize` it rounds: 427 px become 800 and not 799."""

    def __init__(self, short_sides: list[int], long_side: float = float("inf")) -> None:
        super().__init__()
        self.short_sides = short_sides
        self.long_side = long_side

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = v2.query_size(flat_inputs)
        short_side = self.short_sides[int(torch.randint(len(self.short_sides), ()))]
        return {"size": list(fitted(height, width, short_side, self.long_side))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if isinstance(inpt, tv_tensors.Mask):
            # What torchvision does to masks, `nearest`, moves them by half a pixel against the image.
            resized = v2.functional.resize_image(inpt.as_subclass(Tensor), params["size"], v2.InterpolationMode.NEAREST_EXACT)
            return tv_tensors.wrap(resized, like=inpt)
        return v2.functional.resize(inpt, params["size"], antialias=True)


class RandomSidesCrop(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Crop to a height and a width that are drawn one by one from the same range, at a random place."""

    def __init__(self, smallest: int, largest: int) -> None:
        super().__init__()
        self.smallest = smallest
        self.largest = largest

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = v2.query_size(flat_inputs)
        crop_height, crop_width = self._side(height), self._side(width)
        top = int(torch.randint(height - crop_height + 1, ()))
        left = int(torch.randint(width - crop_width + 1, ()))
        return {"top": top, "left": left, "height": crop_height, "width": crop_width}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return v2.functional.crop(inpt, **params)

    def _side(self, side: int) -> int:
        return int(torch.randint(min(side, self.smallest), min(side, self.largest) + 1, ()))


def training_transform(augmentation: DetectAugmentation) -> TrainingTransform:
    """Both branches of the published policy; objects of which no pixel is left are dropped."""
    size = RandomShortSide(augmentation.short_sides, augmentation.long_side)
    smallest, largest = augmentation.crop_sides
    cropped = v2.Compose([RandomShortSide(augmentation.crop_short_sides), RandomSidesCrop(smallest, largest), size])
    share = augmentation.crop_probability
    policy = v2.Compose(
        [
            v2.RandomHorizontalFlip(augmentation.flip),
            v2.RandomChoice([size, cropped], p=[1 - share, share]),
            v2.ClampBoundingBoxes(),
        ]
    )

    def draw(image: Tensor, target: Target) -> tuple[Tensor, Target]:
        height, width = image.shape[-2:]
        boxes = tv_tensors.BoundingBoxes(target["boxes"], format="XYXY", canvas_size=(height, width))
        masks = [tv_tensors.Mask(target["masks"])] if "masks" in target else []
        view, *changed = policy(tv_tensors.Image(image), boxes, *masks)
        plain = {name: tensor.as_subclass(Tensor) for name, tensor in zip(("boxes", "masks"), changed, strict=False)}
        return view.as_subclass(Tensor), visible({**target, **plain})

    return draw


def visible(target: Target) -> Target:
    """A target without the objects whose box is thinner than a pixel or whose mask is empty."""
    sides_N2 = target["boxes"][:, 2:] - target["boxes"][:, :2]
    keep_N = (sides_N2 >= SMALLEST).all(dim=1)
    if "masks" in target:
        keep_N &= (target["masks"].flatten(1) > 0).any(dim=1)
    return {**target, **{name: target[name][keep_N] for name in ("boxes", "labels", "masks") if name in target}}


def inference_view(image: Tensor, inference: DetectInference) -> Tensor:
    """A uint8 image (3, H, W) at the size of evaluation."""
    size = fitted(image.shape[-2], image.shape[-1], inference.short_side, inference.long_side)
    view: Tensor = v2.functional.resize(image, list(size), antialias=True)
    return view
