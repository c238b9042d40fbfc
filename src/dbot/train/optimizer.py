"""AdamW and its parameter groups (timm's)."""

from collections.abc import Iterable
from typing import Any

import torch
from timm.optim import param_groups_layer_decay, param_groups_weight_decay
from torch import Tensor, nn

from dbot.params.recipes import Optimizer


def parameter_groups(model: nn.Module, figures: Optimizer) -> list[dict[str, Any]]:
    """Groups with and without weight decay and, with layer decay, one pair for each layer.

    One-dimensional parameters and biases are not decayed. With layer decay the model is a timm
    ViT, whose positions and class token are not decayed either; the scale of block i of n is
    decay^(n - i), that of the embeddings decay^(n + 1), that of norm and head 1.
    """
    exempt: Iterable[str] = getattr(model, "no_weight_decay", tuple)()
    groups: list[dict[str, Any]]
    if figures.layer_decay < 1:
        groups = param_groups_layer_decay(model, figures.weight_decay, no_weight_decay_list=exempt, layer_decay=figures.layer_decay)
    else:
        groups = param_groups_weight_decay(model, figures.weight_decay, no_weight_decay_list=exempt)
    return groups


def build_optimizer(
    model: nn.Module, figures: Optimizer, groups: list[dict[str, Any]] | None = None, fused: bool = True
) -> torch.optim.AdamW:
    """AdamW over the given groups, or those of a timm ViT; the learning rate is set before every step.

    Fused, one kernel for each tensor does what are ten passes over it otherwise; the numbers agree up to rounding.
    """
    beta1, beta2 = figures.betas
    return torch.optim.AdamW(groups or parameter_groups(model, figures), lr=0.0, betas=(beta1, beta2), eps=figures.eps, fused=fused or None)


def moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """AdamW's moments and step counts by parameter number, as plain tensors."""
    return {f"{i}.{name}": value for i, state in optimizer.state_dict()["state"].items() for name, value in state.items()}


def restore_moments(optimizer: torch.optim.Optimizer, kept: dict[str, Tensor]) -> None:
    """Take over moments and step counts that `moments` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in kept.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
