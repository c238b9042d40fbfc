"""Hearing what passes through a network's blocks while it runs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

from torch import Tensor, nn

from dbot.measure.anatomy import Anatomy

Hears: TypeAlias = Callable[[int, Tensor], None]
"""Called with a layer, from 0, and what it gave for one batch."""


@contextmanager
def attention_heard(network: Anatomy, hears: Hears) -> Iterator[None]:
    """Hear the attention probabilities of each layer, (B, heads, tokens, tokens), class token included.

    Fused kernels never form them, so these very blocks compute without, and have their own
    setting back at the end; no other network is touched. What the network adds to its scores
    (relative positions) is in them, since it is the network that computes them.
    """
    with ExitStack() as stack:
        for layer, block in enumerate(network.blocks):
            attention: Any = block.attn
            stack.callback(setattr, attention, "fused_attn", attention.fused_attn)
            attention.fused_attn = False
            stack.enter_context(_heard(attention.attn_drop, layer, hears))  # probabilities pass it, and nothing else
        yield


@contextmanager
def tokens_heard(network: Anatomy, hears: Hears) -> Iterator[None]:
    """Hear the tokens that each block gives, before any final norm, (B, tokens, D), class token included."""
    with ExitStack() as stack:
        for layer, block in enumerate(network.blocks):
            stack.enter_context(_heard(block, layer, hears))
        yield


def _heard(module: nn.Module, layer: int, hears: Hears) -> Any:
    """The hook's handle, which removes it when left."""

    def hook(_: nn.Module, __: object, output: Tensor) -> None:
        hears(layer, output)

    return module.register_forward_hook(hook)
