"""Transformer blocks run on no more samples and tokens than their outcome depends on.

Every number is that of the whole block, up to the order of floating-point sums: the draws of drop
path are the same, and what is left out is multiplied by zero or never read.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from timm.layers import DropPath
from torch import Tensor
from torch.nn import functional

from dbot.models.checkpointing import is_checkpointed
from dbot.models.stochastic_depth import SubsetDropPath


def add_branch(tokens_BLD: Tensor, branch: Callable[[Tensor], Tensor], drop_path: Any) -> Tensor:
    """Tokens plus a residual branch, which on a CPU is computed for the samples that drop path keeps, and only for them.

    On a GPU it is computed for all: how many are kept is known on the device, and waiting for it costs more than it saves.
    A drop path that always keeps as many saves its share there too.
    """
    kept, scale = kept_samples(tokens_BLD, drop_path)
    if kept is None:
        added: Tensor = tokens_BLD + drop_path(branch(tokens_BLD))
        return added
    return tokens_BLD.index_add(0, kept, branch(tokens_BLD.index_select(0, kept)).to(tokens_BLD.dtype), alpha=scale)


def kept_samples(tokens_BLD: Tensor, drop_path: Any) -> tuple[Tensor | None, float]:
    """Numbers of the samples that drop path keeps, by timm's own draws, and the factor on their branch. None: all are computed.

    Where none is kept, the first is computed all the same, with the factor 0: its weights get gradients of zero, not none.
    """
    dropping = isinstance(drop_path, DropPath) and drop_path.training and drop_path.drop_prob > 0
    if dropping and isinstance(drop_path, SubsetDropPath):
        return drop_path.subset(len(tokens_BLD), tokens_BLD.device)
    if not dropping or tokens_BLD.device.type != "cpu":
        return None, 1.0
    keep = 1 - drop_path.drop_prob
    kept = tokens_BLD.new_empty(len(tokens_BLD), 1, 1).bernoulli_(keep).flatten().nonzero().flatten()
    return (kept, 1 / keep) if len(kept) else (kept.new_zeros(1), 0.0)


def through(blocks: Iterable[Any], tokens_BLD: Tensor, shortcuts: bool) -> Tensor:
    """Tokens behind a series of timm's ViT blocks, on shortcuts or as timm runs them."""
    for block in blocks:
        if shortcuts and not is_checkpointed(block):
            tokens_BLD = add_branch(tokens_BLD, partial(_attention, block), block.drop_path1)
            tokens_BLD = add_branch(tokens_BLD, partial(_mlp, block), block.drop_path2)
        else:
            tokens_BLD = block(tokens_BLD)
    return tokens_BLD


def at_places(block: Any, tokens_BLD: Tensor, places_BS: Tensor) -> Tensor:
    """One of timm's ViT blocks, computed at some tokens alone, which attend to all: (B, S, D).

    Args:
        block: the block.
        tokens_BLD: its whole input.
        places_BS: numbers of the tokens that are wanted, as many for every sample.
    """
    wanted_BSD = take(tokens_BLD, places_BS)
    kept, scale = kept_samples(tokens_BLD, block.drop_path1)
    if kept is None:
        wanted_BSD = wanted_BSD + block.drop_path1(block.ls1(_attend(block, tokens_BLD, places_BS)))
    else:
        found = block.ls1(_attend(block, tokens_BLD.index_select(0, kept), places_BS.index_select(0, kept)))
        wanted_BSD = wanted_BSD.index_add(0, kept, found.to(wanted_BSD.dtype), alpha=scale)
    return add_branch(wanted_BSD, partial(_mlp, block), block.drop_path2)


def take(tokens_BLD: Tensor, places_BS: Tensor) -> Tensor:
    """The tokens at some places of every sample: (B, S, D)."""
    return tokens_BLD.gather(1, places_BS.unsqueeze(-1).expand(-1, -1, tokens_BLD.shape[-1]))


def _attention(block: Any, tokens_BLD: Tensor) -> Tensor:
    found: Tensor = block.ls1(block.attn(block.norm1(tokens_BLD)))
    return found


def _mlp(block: Any, tokens_BLD: Tensor) -> Tensor:
    found: Tensor = block.ls2(block.mlp(block.norm2(tokens_BLD)))
    return found


def _attend(block: Any, tokens_BLD: Tensor, places_BS: Tensor) -> Tensor:
    """The block's attention with the queries of some tokens alone: (B, S, D)."""
    attention, normed_BLD = block.attn, block.norm1(tokens_BLD)
    width, heads = attention.attn_dim, attention.num_heads
    weight, bias = attention.qkv.weight, attention.qkv.bias
    query = functional.linear(take(normed_BLD, places_BS), weight[:width], bias[:width])
    key, value = functional.linear(normed_BLD, weight[width:], bias[width:]).chunk(2, dim=-1)
    by_head = [tensor.unflatten(-1, (heads, -1)).transpose(1, 2) for tensor in (query, key, value)]
    found: Tensor = functional.scaled_dot_product_attention(*by_head)
    projected: Tensor = attention.proj(found.transpose(1, 2).flatten(2))
    return projected
