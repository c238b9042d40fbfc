"""Views of a picture in which every object is a rectangle of its own grey level: pixels, masks and boxes can be compared."""

import pytest
import torch
from torch import Tensor

from dbot.base.seeds import seed_host
from dbot.data.objects.transforms import Target, fitted, inference_view, training_transform, visible
from dbot.params.dense import DetectAugmentation, DetectInference

RECTANGLES = [(10, 12, 50, 40), (60, 5, 110, 45), (20, 55, 45, 85), (80, 50, 118, 88)]


def scene(height: int = 90, width: int = 120) -> tuple[Tensor, Target]:
    image, masks = torch.zeros(3, height, width, dtype=torch.uint8), torch.zeros(len(RECTANGLES), height, width, dtype=torch.uint8)
    for i, (left, top, right, bottom) in enumerate(RECTANGLES):
        image[:, top:bottom, left:right] = 60 * (i + 1)
        masks[i, top:bottom, left:right] = 1
    return image, {
        "boxes": torch.tensor(RECTANGLES, dtype=torch.float32),
        "labels": torch.arange(1, len(RECTANGLES) + 1),
        "masks": masks,
        "image_id": 4,
    }


@pytest.mark.parametrize("crop_probability", [0.0, 0.5, 1.0])
def test_pixels_masks_boxes_and_labels_stay_together(augmentation: DetectAugmentation, crop_probability: float) -> None:
    transform = training_transform(augmentation.model_copy(update={"crop_probability": crop_probability}))
    seen = 0
    for draw in range(40):
        seed_host(draw)
        image, target = transform(*scene())
        assert type(image) is Tensor
        assert image.dtype == torch.uint8
        assert target["image_id"] == 4
        assert len(target["boxes"]) == len(target["labels"]) == len(target["masks"])
        assert target["masks"].shape[1:] == image.shape[1:]
        for box, label, mask in zip(target["boxes"], target["labels"].tolist(), target["masks"].bool(), strict=True):
            seen += 1
            rows, columns = torch.nonzero(mask, as_tuple=True)
            extent = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            assert (box - extent).abs().max() <= 1.5
            assert box.min() >= 0
            assert (box[2:] <= torch.tensor(image.shape[:0:-1])).all()
            assert abs(float(image[0][mask].float().median()) - 60 * label) <= 2
    assert seen > 60


def test_sizes_are_those_of_the_policy(augmentation: DetectAugmentation) -> None:
    transform = training_transform(augmentation.model_copy(update={"crop_probability": 0.0}))
    shorts = set()
    for draw in range(30):
        seed_host(draw)
        image, _ = transform(*scene())
        shorts.add(min(image.shape[1:]))
        assert max(image.shape[1:]) <= augmentation.long_side
    assert shorts == set(augmentation.short_sides)


def test_crops_are_of_many_shapes_and_get_a_size_of_the_policy(augmentation: DetectAugmentation) -> None:
    transform = training_transform(augmentation.model_copy(update={"crop_probability": 1.0}))
    shapes = set()
    for draw in range(30):
        seed_host(draw)
        image, _ = transform(*scene())
        height, width = image.shape[1:]
        shapes.add(round(width / height, 2))
        assert min(height, width) in augmentation.short_sides or max(height, width) == augmentation.long_side
    assert len(shapes) > 10


def test_flip_always_and_never(augmentation: DetectAugmentation) -> None:
    still = augmentation.model_copy(update={"crop_probability": 0.0, "short_sides": [90], "long_side": 200})
    image, target = scene()
    for flip in (0.0, 1.0):
        view, changed = training_transform(still.model_copy(update={"flip": flip}))(*scene())
        assert torch.equal(view, image.flip(2) if flip else image)
        lefts = 120 - target["boxes"][:, 2] if flip else target["boxes"][:, 0]
        assert torch.equal(changed["boxes"][:, 0], lefts)


def test_view_may_miss_all_objects(augmentation: DetectAugmentation) -> None:
    image, target = scene()
    nothing = {**target, "masks": torch.zeros_like(target["masks"])}
    _, changed = training_transform(augmentation)(image, nothing)
    assert changed["boxes"].shape == (0, 4)
    assert changed["labels"].shape == (0,)
    assert len(changed["masks"]) == 0


def test_objects_out_of_sight_are_dropped() -> None:
    _, target = scene()
    target["masks"][1] = 0
    target["boxes"][2, 2] = target["boxes"][2, 0] + 0.5
    assert visible(target)["labels"].tolist() == [1, 4]
    assert [len(visible(target)[name]) for name in ("boxes", "masks")] == [2, 2]


@pytest.mark.parametrize(
    ("size", "fits"),
    [
        ((427, 640), (800, 1199)),
        ((640, 427), (1199, 800)),
        ((480, 640), (800, 1067)),
        ((300, 900), (444, 1333)),
        ((800, 1333), (800, 1333)),
    ],
)
def test_published_size_of_evaluation(size: tuple[int, int], fits: tuple[int, int]) -> None:
    assert fitted(*size, 800, 1333) == fits


def test_view_of_evaluation_has_its_size(inference: DetectInference) -> None:
    view = inference_view(scene()[0], inference)
    assert view.shape == (3, 64, 85)
    assert view.dtype == torch.uint8
