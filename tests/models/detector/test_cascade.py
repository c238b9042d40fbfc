"""The cascade: its weights, its ground truth, its averages."""

import pytest
import torch
from torch import nn

from dbot.models.detector.cascade import Cascade, _proposed
from tests.models.detector.small import small, target

pytestmark = pytest.mark.usefixtures("one_thread")

STRIDES = (2, 4, 8, 16)
SIZES = [(64, 64), (64, 48)]
TARGETS = [target([[4, 4, 24, 28], [20, 30, 50, 58]], [1, 3], 64, 64), target([], [], 64, 48)]


def maps(channels=16):
    torch.manual_seed(1)
    return [torch.randn(2, channels, 64 // stride, 64 // stride) for stride in STRIDES]


def cascade(**changes):
    torch.manual_seed(0)
    return Cascade(small(**changes), STRIDES, 3)


PROPOSALS = [torch.tensor([[2.0, 2, 22, 26], [0, 0, 10, 10], [40, 0, 60, 20]]), torch.tensor([[10.0, 10, 30, 40], [0, 0, 48, 20]])]


class Spy(nn.Module):
    """Stands in for a stage's box predictor: certain of given classes, and no box moves."""

    def __init__(self, logits, offset=0.0):
        super().__init__()
        self.logits, self.offset = logits, offset
        self.seen = 0

    def forward(self, features):
        self.seen = len(features)
        return self.logits[: len(features)], torch.full((len(features), 4, 4), self.offset)


def test_ground_truth_joins_at_every_stage_and_does_not_stay():
    """3 and 2 proposals, and 2 boxes of the first image: 7 for every stage as long as no box leaves."""
    built = cascade()
    for stage in built.stages:
        stage.box_predictor = Spy(torch.zeros(20, 4))
    built.losses(maps(), PROPOSALS, SIZES, TARGETS)
    assert [stage.box_predictor.seen for stage in built.stages] == [7, 7, 7]


def test_boxes_that_lost_their_area_are_dropped_in_training():
    built = cascade()
    built.stages[0].box_predictor = Spy(torch.zeros(20, 4), offset=1e6)  # out of the image, where they are cut to nothing
    built.stages[1].box_predictor = Spy(torch.zeros(20, 4))
    losses = built.losses(maps(), PROPOSALS, SIZES, TARGETS)
    assert built.stages[1].box_predictor.seen == 2  # the ground truth alone
    assert all(loss.isfinite() for loss in losses.values())


def test_only_copies_of_the_ground_truth_are_dropped():
    boxes = torch.cat([PROPOSALS[0], TARGETS[0]["boxes"]])
    moved = boxes + 1
    assert torch.equal(_proposed(moved, boxes, TARGETS[0]), moved[:3])
    assert torch.equal(_proposed(moved, boxes, target([], [], 64, 64)), moved)


@pytest.mark.parametrize(("loss", "weight"), [("giou", 10), ("smooth_l1", 1)])
def test_losses_by_hand(loss, weight):
    """Of a single stage that says nothing: log 4 for classes, and boxes that stay where they are."""
    from torchvision.models.detection._utils import BoxCoder
    from torchvision.ops import generalized_box_iou_loss

    built = cascade(boxes={"loss": loss, "loss_weight": weight})
    factor = 0.5
    built.stages = built.stages[1:2]
    built.stages[0].box_predictor = Spy(torch.zeros(20, 4))
    losses = built.losses(maps(), PROPOSALS, SIZES, TARGETS)
    assert losses["loss_class_1"].item() == pytest.approx(factor * torch.tensor(4.0).log().item(), rel=1e-5)
    # Positive (IoU from 0.6): the first proposal, and both copies of the ground truth, which are right. 7 in all.
    proposal, truth = PROPOSALS[0][:1], TARGETS[0]["boxes"][:1]
    if loss == "giou":
        expected = generalized_box_iou_loss(proposal, truth).item()
    else:
        offsets = BoxCoder((20.0, 20.0, 10.0, 10.0)).encode_single(truth, proposal)
        expected = torch.nn.functional.smooth_l1_loss(offsets, torch.zeros(1, 4), reduction="sum").item()
    assert losses["loss_box_1"].item() == pytest.approx(factor * weight * expected / 7, rel=1e-4)


def certain(label, height):
    logits = torch.zeros(20, 4)
    logits[:, label] = height
    return logits


@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_scores_are_averaged(average):
    built = cascade(cascade={"average": average}, inference={"nms": 1.0, "score": 0.0}).eval()
    heights = (0.0, 2.0, 7.0)
    for stage, height in zip(built.stages, heights, strict=True):
        stage.box_predictor = Spy(certain(2, height))
    found = built.detect(maps(), PROPOSALS, SIZES)
    if average == "logits":
        expected = certain(2, sum(heights) / 3)[0].softmax(0)[2]
    else:
        expected = sum(certain(2, height)[0].softmax(0)[2] for height in heights) / 3
    for of_image, proposals in zip(found, PROPOSALS, strict=True):
        best = of_image["labels"] == 2
        torch.testing.assert_close(of_image["scores"][best], expected.expand(len(proposals)))


@pytest.mark.parametrize("agnostic", [False, True])
def test_boxes_are_the_last_stages(agnostic):
    """Stage 1 and 2 move every box by a tenth of its width, stage 3 by what is a thirtieth for its own coder."""
    built = cascade(boxes={"class_agnostic": agnostic}, inference={"nms": 1.0, "score": 0.5}).eval()
    for stage, offset in zip(built.stages, (1.0, 2.0, 1.0), strict=True):
        stage.box_predictor = Spy(certain(1, 9.0))
        stage.box_predictor.forward = lambda features, offset=offset: (
            certain(1, 9.0)[: len(features)],
            torch.tensor([offset, 0, 0, 0]).expand(len(features), 4, 4),
        )
    (found, _) = built.detect(maps(), [torch.tensor([[0.0, 0, 10, 10]]), PROPOSALS[1]], [(64, 64), (64, 64)])
    assert found["boxes"][0].tolist() == pytest.approx([2.33, 0, 12.33, 10], abs=1e-3)


def test_masks_are_averaged_over_stages():
    built = cascade(inference={"nms": 1.0, "score": 0.0}).eval()
    for stage, chance in zip(built.stages, (0.2, 0.4, 0.9), strict=True):
        stage.mask_predictor = nn.Conv2d(16, 4, 1)
        nn.init.zeros_(stage.mask_predictor.weight)
        nn.init.constant_(stage.mask_predictor.bias, torch.tensor(chance).logit().item())
    for found in built.detect(maps(), PROPOSALS, SIZES):
        torch.testing.assert_close(found["masks"], torch.full_like(found["masks"], 0.5))


def test_no_proposals():
    """A network that is going astray may propose nothing."""
    none = [torch.zeros(0, 4)] * 2
    empty = [target([], [], *size) for size in SIZES]
    losses = cascade().losses(maps(), none, SIZES, empty)
    assert all(loss.item() == 0 for loss in losses.values())
    sum(losses.values()).backward()
    for found in cascade().eval().detect(maps(), none, SIZES):
        assert found["boxes"].shape == (0, 4)
        assert found["masks"].shape == (0, 12, 12)
