"""Sliding windows: the whole-image pass where one covers it, and otherwise what a slow implementation says."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dbot.base.seeds import generator
from dbot.models.segmenter import build_segmenter, enlarged, initialise_heads
from dbot.params.dense import SegmentInference
from dbot.tasks.windows import label_image, slide
from tests.models.stand_in_pyramid import StandInPyramid
from tests.tasks.small_segmentation import recipe

WINDOW, STRIDE = 16, 11


@pytest.fixture(scope="module")
def segmenter():
    model = build_segmenter(StandInPyramid(), recipe(), 5)
    initialise_heads(model, 0.01, generator(0, "heads"))
    return model.eval()


@torch.no_grad()
def slowly(segmenter, image, window, stride):
    """Pixel by pixel: the mean of the logits of every window that covers it (one image at a time, all sides at least a window)."""
    height, width = image.shape[1:]

    def starts(extent):
        count = -(-(extent - window) // stride) + 1
        return sorted({min(i * stride, extent - window) for i in range(count)})

    found = {}
    for top in starts(height):
        for left in starts(width):
            crop = image[None, :, top : top + window, left : left + window]
            found[top, left] = enlarged(segmenter(crop)[0], (window, window))[0]
    result = torch.zeros(5, height, width)
    for y in range(height):
        for x in range(width):
            covering = [logits[:, y - t, x - s] for (t, s), logits in found.items() if 0 <= y - t < window and 0 <= x - s < window]
            result[:, y, x] = torch.stack(covering).mean(0)
    return result


@settings(deadline=None, max_examples=6)
@given(height=st.integers(16, 34), width=st.integers(16, 34), at_once=st.integers(1, 5))
def test_windows_are_averaged(segmenter, height, width, at_once):
    image = torch.randn(3, height, width, generator=generator(height, width))
    with torch.no_grad():
        got = slide(segmenter, image, WINDOW, STRIDE, at_once)
    assert torch.allclose(got, slowly(segmenter, image, WINDOW, STRIDE), atol=1e-5)


@settings(deadline=None, max_examples=12)
@given(height=st.integers(1, 16), width=st.integers(1, 16))
def test_one_window_is_the_whole_image(segmenter, height, width):
    image = torch.randn(3, height, width, generator=generator(height, width))
    beyond = torch.zeros(3, -(-height // 8) * 8, -(-width // 8) * 8)
    beyond[:, :height, :width] = image
    with torch.no_grad():
        whole = enlarged(segmenter(beyond[None])[0], beyond.shape[1:])[0, :, :height, :width]
        got = slide(segmenter, image, WINDOW, STRIDE, 4)
    assert torch.equal(got, whole)


@pytest.mark.parametrize("size", [(40, 30), (9, 50), (16, 16)])
def test_the_result_has_the_size_that_is_asked_for(segmenter, demo, size):
    figures = SegmentInference(long_side=64, short_side=16, window=16, stride=11)
    image = torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=generator("image"))
    segmenter.pyramid.given.clear()
    labels = label_image(segmenter, image, size, figures, demo.normalisation, at_once=2)
    assert labels.shape == size
    assert labels.dtype == torch.int64
    assert 0 <= labels.min() <= labels.max() < 5
    assert all(shape[0] <= 2 for shape in segmenter.pyramid.given)
