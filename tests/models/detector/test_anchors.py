"""Anchors: at multiples of the known strides, of one area, unrounded."""

import torch
from torchvision.models.detection.image_list import ImageList

from dbot.models.detector.anchors import StridedAnchors


def anchors(strides, sides, ratios=(0.5, 1.0, 2.0)):
    maps = [torch.zeros(2, 1, side, side) for side in sides]
    return StridedAnchors(strides, 8, ratios)(ImageList(torch.zeros(2, 3, 96, 96), [(96, 96), (90, 80)]), maps)


def test_figures_of_the_published_recipe():
    strides, sides = (4, 8, 16, 32, 64), (24, 12, 6, 3, 2)
    first, second = anchors(strides, sides)
    assert first.shape == (3 * sum(side**2 for side in sides), 4)
    assert torch.equal(first, second)
    start = 0
    for stride, side in zip(strides, sides, strict=True):
        here = first[start : start + 3 * side**2].view(side, side, 3, 4)
        widths, heights = (here[..., 2:] - here[..., :2]).unbind(-1)
        torch.testing.assert_close(heights / widths, torch.tensor([0.5, 1.0, 2.0]).expand_as(widths))
        torch.testing.assert_close((widths * heights).sqrt(), torch.full_like(widths, 8 * stride))
        # The coarsest map of 96 px has 2 places a side, 64 px apart and not 96 / 2.
        centres = (here[:, :, 0, :2] + here[:, :, 0, 2:]) / 2
        expected = torch.stack(torch.meshgrid(*[torch.arange(side) * float(stride)] * 2, indexing="xy"), dim=-1)
        torch.testing.assert_close(centres, expected)
        start += 3 * side**2


def test_anchors_at_stride_1_are_not_rounded():
    (found, _) = anchors((1,), (4,))
    torch.testing.assert_close((found[0, 2:] - found[0, :2]), torch.tensor([8 * 2**0.5, 8 / 2**0.5]))
