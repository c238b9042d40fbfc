"""Numbers that stay on a device."""

import torch

from dbot.base.on_device import numbers_on


def test_they_are_sent_there_once() -> None:
    found = numbers_on(torch.device("cpu"), 0.485, 0.456)
    assert torch.equal(found, torch.tensor([0.485, 0.456]))
    assert numbers_on(torch.device("cpu"), 0.485, 0.456) is found
    assert numbers_on(torch.device("meta"), 0.485, 0.456).device.type == "meta"
