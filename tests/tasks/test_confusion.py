"""Measures of segmentation, against counting pixel by pixel."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dbot.data.labelmaps.values import IGNORE
from dbot.tasks.confusion import confusion, scores

CLASSES = 4
PIXELS = st.lists(st.tuples(st.sampled_from([0, 1, 2, 3, IGNORE]), st.integers(0, CLASSES - 1)), min_size=1, max_size=60)


def by_hand(pixels: list[tuple[int, int]]) -> tuple[float, float, float, list[float | None]]:
    pixels = [(truth, predicted) for truth, predicted in pixels if truth != IGNORE]
    iou: list[float | None] = []
    found = []
    for label in range(CLASSES):
        union = [pair for pair in pixels if label in pair]
        truth = [pair for pair in pixels if pair[0] == label]
        hits = [pair for pair in union if pair == (label, label)]
        iou.append(100 * len(hits) / len(union) if union else None)
        found += [100 * len(hits) / len(truth)] if truth else []
    present = [value for value in iou if value is not None]
    right = sum(truth == predicted for truth, predicted in pixels)
    return sum(present) / len(present), sum(found) / len(found), 100 * right / len(pixels), iou


@given(PIXELS.filter(lambda pixels: any(truth != IGNORE for truth, _ in pixels)))
def test_measures_equal_a_count_by_hand(pixels):
    truth, predicted = (torch.tensor(values) for values in zip(*pixels, strict=True))
    got = scores(confusion(truth.to(torch.uint8), predicted, CLASSES))
    miou, macc, aacc, iou = by_hand(pixels)
    assert got.metrics == pytest.approx({"miou": miou, "macc": macc, "aacc": aacc})
    assert got.iou == pytest.approx(iou)


@given(st.lists(PIXELS, min_size=1, max_size=4))
def test_matrices_of_parts_add_up(parts):
    def matrix(pixels):
        truth, predicted = (torch.tensor(values) for values in zip(*pixels, strict=True))
        return confusion(truth, predicted, CLASSES)

    assert torch.equal(sum(map(matrix, parts)), matrix([pair for pixels in parts for pair in pixels]))


def test_truth_against_itself_is_perfect():
    truth = torch.tensor([[0, 0, 2], [IGNORE, 2, 0]])
    perfect = scores(confusion(truth, truth.clamp(max=2), CLASSES))
    assert perfect.metrics == {"miou": 100.0, "macc": 100.0, "aacc": 100.0}
    assert perfect.iou == [100.0, None, 100.0, None]
    assert not any(math.isnan(value) for value in perfect.metrics.values())
