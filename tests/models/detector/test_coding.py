"""Boxes as offsets: torchvision's numbers to the last bit."""

import torch
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder

from dbot.models.detector.coding import KeptWeights

WEIGHTS = (10.0, 10.0, 5.0, 5.0)


def _boxes(count: int) -> Tensor:
    corners = 100 * torch.rand(count, 2)
    return torch.cat([corners, corners + 200 * torch.rand(count, 2)], dim=1)


def test_what_boxes_are_encoded_and_decoded_to() -> None:
    torch.manual_seed(0)
    ours, torchvisions = KeptWeights(WEIGHTS), BoxCoder(WEIGHTS)
    boxes, others, offsets = _boxes(50), _boxes(50), 10 * torch.randn(50, 4 * 3)
    assert torch.equal(ours.encode_single(others, boxes), torchvisions.encode_single(others, boxes))
    found, expected = (offsets.clone().requires_grad_() for _ in range(2))
    moved, wanted = ours.decode_single(found, boxes), torchvisions.decode_single(expected, boxes)
    assert torch.equal(moved, wanted)
    moved.square().sum().backward()
    wanted.square().sum().backward()
    assert found.grad is not None
    assert expected.grad is not None
    assert torch.equal(found.grad, expected.grad)
