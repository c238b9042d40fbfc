"""Faults that a rehearsal has to find: each takes what a network, or a loss, gives, and gives it back."""

import torch
from torch import Tensor


def to_the_host(output: Tensor) -> Tensor:
    """Looks at a copy in main memory."""
    return output + 0 * output.detach().cpu().sum().to(output.device)


def asks_for_a_value(output: Tensor) -> Tensor:
    """Scales by a number that the host has to know."""
    return output * (1 + 0 * output.detach().mean().item())


def made_on_the_host(output: Tensor) -> Tensor:
    """Adds a tensor that was made without a device."""
    return output + torch.zeros(output.shape[-1])


def in_float64(output: Tensor) -> Tensor:
    """Computes with more bits than anybody needs."""
    return output.double().float()
