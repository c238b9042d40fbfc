"""Numbers that stay on a device: to send them there in every step would be to wait for it in every step."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@cache
def numbers_on(device: "torch.device", *numbers: float) -> "torch.Tensor":
    """Numbers as a float32 tensor, of which there is one for each device; not to be changed.

    Args:
        device: where.
        numbers: as many as there are; they are kept for as long as the process lives, so they should be few.
    """
    import torch

    return torch.tensor(numbers, dtype=torch.float32, device=device)
