"""The proposal network's matching."""

import pytest
import torch

from dbot.models.detector.proposals import FlooredMatcher, ProposalNetwork
from tests.models.detector.small import published


def matched(overlaps, least=0.3):
    return FlooredMatcher(0.7, 0.3, least)(torch.tensor(overlaps)).tolist()


def test_figures_of_matching():
    # By anchor: positive, between, negative.
    assert matched([[0.8, 0.5, 0.1]]) == [0, -2, -1]


def test_an_object_gets_its_best_anchors_even_below_the_threshold():
    assert matched([[0.8, 0.1, 0.2, 0.0], [0.0, 0.45, 0.45, 0.1]]) == [0, 1, 1, -1]


def test_an_object_that_hardly_any_anchor_overlaps_takes_none():
    """Without a floor, one whose best overlap is 0 would take every anchor that overlaps nothing."""
    assert matched([[0.8, 0.0, 0.0], [0.0, 0.0, 0.0]]) == [0, -1, -1]
    assert matched([[0.8, 0.0, 0.2], [0.0, 0.0, 0.29]]) == [0, -1, -1]


def network(border):
    return ProposalNetwork(published(proposals={"border": border}).proposals, 8, (4, 8))


ANCHORS = torch.tensor([[0.0, 0, 20, 20], [-1, 0, 19, 20], [20, 10, 41, 30], [5, 5, 40, 30], [50, 0, 60, 10]])
TARGET = {"boxes": torch.tensor([[0.0, 0, 20, 20]]), "size": (30, 40)}


@pytest.mark.parametrize(
    ("border", "expected"), [(0, [1, -1, -1, 0, -1]), (1, [1, 1, 0, 0, -1]), (None, [1, 1, 0, 0, 0])], ids=["published", "a pixel", "all"]
)
def test_anchors_that_reach_out_of_the_image_are_not_trained(border, expected):
    (labels,), (boxes,) = network(border).assign_targets_to_anchors([ANCHORS], [TARGET])
    assert labels.tolist() == expected
    assert torch.equal(boxes[0], TARGET["boxes"][0])
    assert boxes.shape == ANCHORS.shape


def test_an_image_smaller_than_every_anchor_is_trained():
    target = {"boxes": torch.tensor([[0.0, 0, 8, 8]]), "size": (8, 8)}
    (labels,), _ = network(0).assign_targets_to_anchors([ANCHORS], [target])
    assert (labels >= 0).all()


def test_an_image_without_objects_is_background_inside():
    target = {"boxes": torch.zeros(0, 4), "size": (30, 40)}
    (labels,), _ = network(0).assign_targets_to_anchors([ANCHORS], [target])
    assert labels.tolist() == [0, -1, -1, 0, -1]
