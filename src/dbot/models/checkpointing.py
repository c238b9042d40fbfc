"""Activation checkpointing: less memory for more time, and the same numbers."""

from typing import Any

import torch
from timm.models.beit import Block as SymmetricBlock
from timm.models.vision_transformer import Block
from torch import nn
from torch.utils.checkpoint import checkpoint


def checkpoint_blocks(model: nn.Module) -> None:
    """Have every transformer block computed again in the backward pass, instead of keeping its insides.

    Random draws (drop path) are the same both times. Names of parameters don't change.

    Args:
        model: an encoder, decoder, student or network of a dense task, in place.
    """
    for block in model.modules():
        if isinstance(block, Block | SymmetricBlock):
            _checkpoint(block)


def is_checkpointed(block: nn.Module) -> bool:
    """Whether a block is computed again in the backward pass; it has to be called as a whole then."""
    return getattr(block, "checkpointed", False)


def _checkpoint(block: nn.Module) -> None:
    forward = block.forward

    def again(*tokens: Any, **more: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*tokens, **more)
        return checkpoint(forward, *tokens, use_reentrant=False, **more)

    block.forward = again
    block.checkpointed = True  # type: ignore[assignment] # a plain attribute, no part of its state
