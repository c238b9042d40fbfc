"""Attention distance on maps whose answer is known."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dbot.measure.analysis import attention_distance, patch_distances

SIDES = st.integers(1, 5)


def uniform(tokens: int) -> Tensor:
    return torch.full((1, 1, tokens, tokens), 1 / tokens, dtype=torch.float64)


def test_the_published_grid():
    distances = patch_distances((14, 14), (16, 16))
    assert attention_distance(uniform(196), distances).item() == pytest.approx(116.49, abs=0.01)
    assert attention_distance(uniform(197), distances).item() == pytest.approx(115.90, abs=0.01), "the class token takes its share"
    assert attention_distance(uniform(197), distances, renormalise=True).item() == pytest.approx(116.49, abs=0.01)
    assert distances.max().item() == pytest.approx(math.hypot(13 * 16, 13 * 16))


def test_patches_count_row_by_row():
    distances = patch_distances((2, 3), (10, 4))
    assert distances[0].tolist() == pytest.approx([0, 4, 8, 10, math.hypot(10, 4), math.hypot(10, 8)])


def test_a_head_that_looks_at_itself_or_at_one_patch():
    distances = patch_distances((3, 3), (4, 4))
    own, corner = torch.eye(10, dtype=torch.float64), torch.zeros(10, 10, dtype=torch.float64)
    corner[:, 1] = 1
    found = attention_distance(torch.stack([own, corner]).unsqueeze(0), distances)
    assert found[0, 0] == 0
    assert found[0, 1].item() == pytest.approx(distances[0].mean().item())


@settings(deadline=None, max_examples=25)
@given(SIDES, SIDES, st.integers(0, 3), st.integers(0, 2**32 - 1), st.booleans())
def test_any_grid_against_a_plain_loop(height, width, prefix, seed, renormalise):
    patches, tokens = height * width, height * width + prefix
    attention = torch.randn(1, 2, tokens, tokens, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).softmax(-1)
    found = attention_distance(attention, patch_distances((height, width), (3, 5)), renormalise)
    for head in range(2):
        expected = 0.0
        for i in range(patches):
            weights = [float(attention[0, head, prefix + i, prefix + j]) for j in range(patches)]
            reach = [math.hypot((i // width - j // width) * 3, (i % width - j % width) * 5) for j in range(patches)]
            moved = sum(w * r for w, r in zip(weights, reach, strict=True))
            expected += moved / (sum(weights) if renormalise else 1) / patches
        assert found[0, head].item() == pytest.approx(expected)
