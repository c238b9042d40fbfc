"""Two views of one crop: the same part of the image at two sizes."""

import pytest
import torch
from torch.nn import functional
from torchvision.transforms import v2

from dbot.base.seeds import seed_host
from dbot.data.transforms import pretrain_transform, views_transform


@pytest.fixture
def augmentation(paper):
    return paper.recipes.pretrain["symmetric"].augmentation


def ramp() -> torch.Tensor:
    """An image whose colour tells the place: red grows to the right, green downwards."""
    y, x = torch.meshgrid(torch.linspace(0, 255, 96), torch.linspace(0, 255, 128), indexing="ij")
    return torch.stack([x, y, (x + y) / 2]).to(torch.uint8)


@pytest.mark.parametrize("seed", range(5))
def test_both_views_show_the_same_part(augmentation, seed):
    seed_host("views", seed)
    student, teacher = views_transform(augmentation, (32, 48))(ramp())
    assert (student.shape, teacher.shape) == ((3, 32, 32), (3, 48, 48))
    assert student.dtype == teacher.dtype == torch.uint8
    smaller = functional.interpolate(teacher.unsqueeze(0).float(), (32, 32), mode="bilinear", antialias=True)[0]
    assert (student.float() - smaller).abs().mean() < 2, "levels of 255"


def test_sizes_that_agree_are_one_view(augmentation):
    assert [view.shape[-1] for view in views_transform(augmentation, (32, 32))(ramp())] == [32]


def test_colours_crop_and_flip_are_drawn(augmentation):
    views = views_transform(augmentation, (16,))

    def drawn(seed, image):
        seed_host("views", seed)
        return views(image)[0].float()

    flat = torch.full((3, 64, 64), 128, dtype=torch.uint8)
    brightness = torch.tensor([drawn(seed, flat).mean() for seed in range(30)])
    assert brightness.std() > 10
    rightwards = [bool(view[0, :, -1].mean() > view[0, :, 0].mean()) for view in (drawn(seed, ramp()) for seed in range(30))]
    assert 5 < sum(rightwards) < 25
    assert torch.equal(drawn(3, ramp()), drawn(3, ramp()))


def test_without_jitter_colours_stay(augmentation):
    flat = torch.full((3, 64, 64), 128, dtype=torch.uint8)
    (view,) = views_transform(augmentation.model_copy(update={"color_jitter": 0.0}), (16,))(flat)
    assert torch.equal(view, flat[:, :16, :16])


@pytest.mark.parametrize("together", [False, True])
def test_crops_are_torchvisions_to_the_bit(paper, together):
    """Draws included, however the image's channels lie in memory."""
    figures = paper.recipes.pretrain["asymmetric"].augmentation
    box = v2.RandomResizedCrop(
        32, scale=tuple(figures.crop_scale), ratio=tuple(figures.crop_ratio), interpolation=v2.InterpolationMode.BICUBIC, antialias=True
    )
    theirs, ours = v2.Compose([box, v2.RandomHorizontalFlip(figures.flip)]), pretrain_transform(figures, 32)
    for seed in range(40):
        seed_host("sizes", seed)
        height, width = torch.randint(5, 120, (2,)).tolist()
        image = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8).permute(2, 0, 1)
        image = image if together else image.contiguous()
        seed_host("crop", seed)
        expected = theirs(image)
        seed_host("crop", seed)
        assert torch.equal(ours(image), expected)
