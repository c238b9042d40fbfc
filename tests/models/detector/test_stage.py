"""A stage: which row of offsets moves a box, and the figures that it matches with."""

import pytest
import torch

from dbot.models.detector.stage import BoxPredictor, Stage
from tests.models.detector.small import small


def stage(number=0, **changes):
    recipe = small(**changes)
    return Stage(recipe.cascade.stages[number], recipe, 3)


def test_boxes_move_by_their_class():
    """The true class where it is known, else the likeliest that is not the background."""
    boxes = [torch.tensor([[10.0, 10, 20, 20]]).repeat(2, 1), torch.tensor([[30.0, 30, 40, 40]])]
    logits = torch.tensor([[9.0, 0, 5, 1], [9, 0, 5, 1], [0, 0, 1, 2]])
    offsets = torch.zeros(3, 4, 4)
    offsets[:, :, 0] = torch.tensor([100.0, 1, 2, 3]) / 0.1 / 10  # of a box 10 px wide: 100, 1, 2 and 3 px to the right
    sizes = [(50, 50), (50, 42)]
    first, second = stage().refine(boxes, logits, offsets, sizes, torch.tensor([1, 0, 0]))
    assert first[:, 0].tolist() == pytest.approx([11, 12])
    assert second.tolist() == [pytest.approx([33, 30, 42, 40])], "not cut at the image's edge"
    (first, _) = stage().refine(boxes, logits, offsets, sizes)
    assert first[:, 0].tolist() == pytest.approx([12, 12])


def test_class_agnostic_offsets_are_the_same_for_every_class():
    predictor = BoxPredictor(8, 4, class_agnostic=True)
    logits, offsets = predictor(torch.randn(5, 8))
    assert logits.shape == (5, 4)
    assert offsets.shape == (5, 4, 4)
    assert (offsets == offsets[:, :1]).all()
    assert predictor.regress.weight.shape == (4, 8)


@pytest.mark.parametrize(("number", "iou", "weights"), [(0, 0.5, (10, 5)), (1, 0.6, (20, 10)), (2, 0.7, (1 / 0.033, 1 / 0.067))])
def test_figures_of_the_published_stages(number, iou, weights):
    built = stage(number)
    assert built.proposal_matcher.high_threshold == built.proposal_matcher.low_threshold == iou
    assert built.box_coder.weights == pytest.approx((weights[0], weights[0], weights[1], weights[1]))
    assert built.weight == (1, 0.5, 0.25)[number]


def test_group_norm_has_groups_of_8():
    norms = [part for part in stage(boxes={"norm": "group"}).box_head.modules() if isinstance(part, torch.nn.GroupNorm)]
    assert [norm.num_groups for norm in norms] == [2]  # of 16 channels
