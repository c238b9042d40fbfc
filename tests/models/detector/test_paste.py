"""Pasting: masks fill their boxes, clipped at the image's edge."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from dbot.models.detector.paste import paste

edges = st.integers(-20, 60)


@given(edges, edges, st.integers(1, 50), st.integers(1, 50), st.sampled_from([6, 28]))
def test_a_full_mask_fills_its_box(x, y, width, height, side):
    """But for its corners, which half a pixel of the mask rounds off: beyond the box the mask is 0, as mmdet has it."""
    found = paste(torch.ones(side, side), torch.tensor([x, y, x + width, y + height]).float(), 30, 40, 0.5)
    columns, rows = torch.arange(40) + 0.5 - x, torch.arange(30).unsqueeze(1) + 0.5 - y
    within = (columns > 0) & (columns < width) & (rows > 0) & (rows < height)
    off_columns, off_rows = torch.minimum(columns, width - columns), torch.minimum(rows, height - rows)
    corners = (off_columns < width / side / 2) & (off_rows < height / side / 2)
    assert not (found & ~within).any()
    assert not (within & ~corners & ~found).any()


def test_a_half_mask_fills_half():
    mask = torch.zeros(28, 28)
    mask[:, 14:] = 0.9
    found = paste(mask, torch.tensor([4.0, 2, 24, 12]), 20, 30, 0.5)
    assert not found[:, :14].any()
    assert found[3:11, 14:23].all()
    assert found[2:12, 14:24].sum() == found.sum() > 90


def test_boxes_without_area_have_no_pixels():
    assert not paste(torch.ones(6, 6), torch.tensor([5.0, 5, 5, 9]), 20, 20, 0.5).any()
