"""The pooler: the right map for each box, at the right place, in the right order."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import roi_align
from torchvision.ops.poolers import initLevelMapper

from dbot.models.detector.pooler import Pooler

pytestmark = pytest.mark.usefixtures("one_thread")

STRIDES = (1, 2, 4, 8)


def gradient_maps(strides, side):
    """Maps whose two channels are the x and y coordinates of their places' centres in pixels."""
    maps = []
    for stride in strides:
        places = (torch.arange(side // stride) + 0.5) * stride
        maps.append(torch.stack(torch.meshgrid(places, places, indexing="xy")).unsqueeze(0))
    return maps


GRADIENTS = {strides: gradient_maps(strides, 448) for strides in ((1, 2, 4, 8), (2, 4, 8, 16), (4, 8, 16, 32))}


@given(
    st.sampled_from(sorted(GRADIENTS)),
    st.floats(10, 90),
    st.floats(10, 90),
    st.floats(4, 300),
    st.floats(4, 300),
)
def test_a_linear_map_is_pooled_to_the_centres_of_the_bins(strides, x, y, width, height):
    """Wherever the box lies and whichever map it comes from: wrong scales or half a pixel would show."""
    box = torch.tensor([[x + 32, y + 32, x + 32 + width, y + 32 + height]])  # away from the rim, where sampling is cut
    pooled = Pooler(strides, 4)(GRADIENTS[strides], [box])[0]
    centres = (torch.arange(4) + 0.5) / 4
    torch.testing.assert_close(pooled[0], (box[0, 0] + centres * width).expand(4, 4), atol=2e-3, rtol=1e-4)
    torch.testing.assert_close(pooled[1], (box[0, 1] + centres * height).unsqueeze(1).expand(4, 4), atol=2e-3, rtol=1e-4)


@pytest.mark.parametrize("finest", [1, 4])
def test_levels(finest):
    """The finest map up to twice 14 strides (56 px, so 112, at stride 4), and one coarser at every doubling."""
    pooler = Pooler([finest * 2**level for level in range(4)], 7)
    sides = torch.tensor([1.0, 14, 27.9, 28, 55, 56, 111, 112, 1000]) * finest
    boxes = torch.stack([torch.zeros_like(sides), torch.zeros_like(sides), sides, sides], dim=1)
    assert pooler.levels(boxes).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3]


@given(st.lists(st.tuples(st.floats(1, 900), st.floats(1, 900)), min_size=1, max_size=8))
def test_levels_are_torchvisions(sides):
    """Its canonical box of 224 px on the third map is mmdet's 56 px on the first."""
    boxes = torch.tensor([[0.0, 0.0, width, height] for width, height in sides])
    expected = initLevelMapper(2, 5, canonical_scale=224, canonical_level=4)([boxes])
    assert torch.equal(Pooler((4, 8, 16, 32), 7).levels(boxes), expected)


def test_against_roi_align_by_hand():
    """Boxes of two images on all maps, in the order they were given, and with gradients to every map."""
    torch.manual_seed(0)
    maps = [torch.randn(2, 3, 128 // stride, 128 // stride, requires_grad=True) for stride in STRIDES]
    boxes = [
        torch.tensor([[0.0, 0, 120, 120], [3, 4, 13, 16], [10, 10, 50, 60]]),
        torch.tensor([[60.0, 60, 90, 95], [0, 0, 5, 128]]),
    ]
    found = Pooler(STRIDES, 7)(maps, boxes)
    row = 0
    for image, of_image in enumerate(boxes):
        for box in of_image:
            side = math.sqrt(float((box[2] - box[0]) * (box[3] - box[1])))
            level = min(3, max(0, int(math.log2(side / 14)))) if side >= 14 else 0
            expected = roi_align(maps[level][image : image + 1], [box[None]], 7, 1 / STRIDES[level], -1, aligned=True)
            torch.testing.assert_close(found[row], expected[0])
            row += 1
    assert row == len(found)
    found.sum().backward()
    assert all(features.grad is not None for features in maps)


def test_no_boxes():
    found = Pooler(STRIDES, 7)([torch.zeros(2, 3, 8, 8)] * 4, [torch.zeros(0, 4)] * 2)
    assert found.shape == (0, 3, 7, 7)
