"""Losses by hand, and what masks are learnt from."""

import math

import pytest
import torch
from torchvision.models.detection._utils import BoxCoder

from dbot.models.detector.losses import box_loss, class_loss, mask_loss, mask_truth

CODER = BoxCoder((10.0, 10.0, 5.0, 5.0))


def giou(proposal, truth, offsets=(0, 0, 0, 0), proposals=1):
    return float(box_loss("giou", CODER, *(torch.tensor([box], dtype=torch.float32) for box in (offsets, proposal, truth)), proposals))


def test_giou_of_decoded_boxes():
    assert giou((0, 0, 10, 10), (0, 0, 10, 10)) == pytest.approx(0, abs=1e-6)
    # Half of it: IoU 1/2, and the hull is the truth.
    assert giou((0, 0, 10, 5), (0, 0, 10, 10)) == pytest.approx(0.5, abs=1e-6)
    # Apart: IoU 0, the hull of 300 holds 200.
    assert giou((0, 0, 10, 10), (20, 0, 30, 10)) == pytest.approx(1 + 100 / 300, abs=1e-6)
    # Offsets of 10 x 1 move the box by its width.
    assert giou((0, 0, 10, 10), (10, 0, 20, 10), (10, 0, 0, 0)) == pytest.approx(0, abs=1e-6)


def test_box_losses_are_shared_by_all_proposals():
    assert giou((0, 0, 10, 5), (0, 0, 10, 10), proposals=4) == pytest.approx(0.125, abs=1e-6)


def test_smooth_l1_of_encoded_offsets():
    boxes = (torch.tensor([box], dtype=torch.float32) for box in ((0, 0, 0, 0), (0, 0, 10, 10), (0.5, 0, 20.5, 10)))
    # x moves by 0.55 of the width, the width doubles.
    x, width = 10 * 0.55, 5 * math.log(2)
    assert float(box_loss("smooth_l1", CODER, *boxes, 1)) == pytest.approx(x - 0.5 + width - 0.5, rel=1e-5)


def test_nothing_to_learn_from_is_0_with_a_gradient():
    logits, offsets, masks = (torch.zeros(shape, requires_grad=True) for shape in ((0, 3), (0, 4), (0, 6, 6)))
    losses = (
        class_loss(logits, torch.zeros(0, dtype=torch.int64)),
        box_loss("giou", CODER, offsets, torch.zeros(0, 4), torch.zeros(0, 4), 0),
        mask_loss(masks, torch.zeros(0, 6, 6)),
    )
    assert all(loss.item() == 0 for loss in losses)
    sum(losses).backward()
    assert all(tensor.grad is not None for tensor in (logits, offsets, masks))


def test_class_loss_is_a_mean():
    logits, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 0])
    torch.testing.assert_close(class_loss(logits, labels), torch.nn.functional.cross_entropy(logits, labels))


def test_masks_are_cut_out_of_their_objects():
    masks = torch.zeros(2, 40, 40, dtype=torch.bool)
    masks[1, 10:20, 8:24] = True
    boxes = torch.tensor([[8.0, 10, 24, 20], [0.0, 10, 16, 20], [8.0, 0, 24, 20]])
    found = mask_truth([boxes, torch.zeros(0, 4)], [torch.tensor([1, 1, 0]), torch.zeros(0, dtype=torch.int64)], [masks, masks[:0]], 4)
    assert found.shape == (3, 4, 4)
    assert torch.equal(found[0], torch.ones(4, 4))
    assert torch.equal(found[1], torch.tensor([0.0, 0, 1, 1]).expand(4, 4))
    assert torch.equal(found[2], torch.zeros(4, 4)), "taken from another object"
