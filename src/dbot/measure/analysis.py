"""One network's insides over a set of images, streamed: how far attention reaches, how much of the tokens lies in a few directions."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from dbot.base.errors import UserError
from dbot.measure.anatomy import Anatomy, anatomy_of
from dbot.measure.insides import Grid, Insides

TOP = 5
"""As many of the largest singular values are looked at, as published."""


def singular_shares(tokens_BPD: Tensor, top: int = TOP) -> Tensor:
    """Share of the largest 1, 2, ... singular values in the sum of all, image by image: (B, top), float64.

    Every token has length 1 first; nothing is centred, nothing squared (as published). Where
    there are fewer values than that, the last shares are 1.

    Args:
        tokens_BPD: an image's patch tokens, without class token.
        top: how many shares.
    """
    unit_BPD = functional.normalize(tokens_BPD.double(), dim=-1)
    # Roots of the eigenvalues of the smaller Gram matrix. In float64 that leaves an error of 1e-8 of
    # the largest, and takes a fraction of a decomposition's time, on a GPU above all.
    unit_BSL = unit_BPD if unit_BPD.shape[1] <= unit_BPD.shape[2] else unit_BPD.mT
    values_BS = torch.linalg.eigvalsh(unit_BSL @ unit_BSL.mT).clamp(min=0).sqrt().flip(-1)
    largest_BK = functional.pad(values_BS[:, :top], (0, max(0, top - values_BS.shape[1])))
    shares_BK: Tensor = largest_BK.cumsum(dim=-1) / values_BS.sum(dim=-1, keepdim=True)
    return shares_BK


def alone(values: Tensor) -> Tensor:
    """The sum over all processes, where there is but one."""
    return values


@torch.no_grad()
def analyse_network(
    network: nn.Module,
    images: Iterable[Tensor],
    device: torch.device,
    total: Callable[[Tensor], Tensor] = alone,
    renormalise: bool = False,
    top: int = TOP,
) -> Insides:
    """Attention distance of every head and singular-value shares of every layer, as means over images.

    Every image weighs the same, however the images are batched and shared out over processes.

    Args:
        network: an encoder or classifier of either design, or a teacher that is a plain ViT; it is
            moved to the device and left in eval mode.
        images: batches (B, 3, H, W) of this process's images, as the network takes them: normalised
            for an encoder, pixels for a teacher.
        device: where to compute.
        total: adds a tensor up over all processes (`Processes.sum`).
        renormalise: whether attention is renormalised over patches once the class token is dropped;
            the published code doesn't.
        top: how many of the largest singular values are looked at.

    Raises:
        UserError: it is no plain ViT, or there is no image.
    """
    anatomy = anatomy_of(network)
    network.to(device).eval()
    distances_PP = patch_distances(anatomy.grid, anatomy.patch).float().to(device)
    distance_LH = torch.zeros(anatomy.depth, anatomy.heads, dtype=torch.float64, device=device)
    share_LK = torch.zeros(anatomy.depth, top, dtype=torch.float64, device=device)
    count_1 = torch.zeros(1, dtype=torch.float64, device=device)

    def add_distance(layer: int, attention_BHNN: Tensor) -> None:
        distance_LH[layer] += attention_distance(attention_BHNN, distances_PP, renormalise).double().sum(dim=0)

    def add_shares(layer: int, tokens_BND: Tensor) -> None:
        share_LK[layer] += singular_shares(tokens_BND[:, anatomy.prefix :], top).sum(dim=0)

    with attention_heard(anatomy, add_distance), tokens_heard(anatomy, add_shares):
        for batch_BCHW in images:
            anatomy.run(batch_BCHW.to(device))
            count_1 += len(batch_BCHW)
    count = total(count_1).item()
    if not count:
        raise UserError("there is no image to analyse the network on; name a data set with validation images")
    return Insides(distances=_grid(total(distance_LH) / count), shares=_grid(total(share_LK) / count))


def _grid(values: Tensor) -> Grid:
    return tuple(tuple(row) for row in values.tolist())


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


def patch_distances(grid: tuple[int, int], patch: tuple[int, int]) -> Tensor:
    """Distances between the centres of all patches in pixels: (P, P), float64, patches row by row.

    Args:
        grid: patches along (height, width).
        patch: a patch's (height, width) in pixels.
    """
    y, x = (torch.arange(count, dtype=torch.float64) * size for count, size in zip(grid, patch, strict=True))
    centres_P2 = torch.cartesian_prod(y, x)
    distances_PP: Tensor = torch.linalg.vector_norm(centres_P2.unsqueeze(1) - centres_P2, dim=-1)
    return distances_PP


def attention_distance(attention_BHNN: Tensor, distances_PP: Tensor, renormalise: bool = False) -> Tensor:
    """Distance to the patches that a patch attends to, weighted by its attention, averaged over all patches: (B, H), in pixels.

    Rows and columns of the tokens before the patches are dropped. As published, what a patch
    attends to the class token then counts as no distance at all.

    Args:
        attention_BHNN: probabilities, the patches' tokens last.
        distances_PP: between patches, in pixels; of the attention's type and device.
        renormalise: divide by what a patch attends to patches, image by image.
    """
    patches = len(distances_PP)
    among_BHPP = attention_BHNN[..., -patches:, -patches:]
    reach_BHP = (among_BHPP * distances_PP).sum(dim=-1)
    if renormalise:
        reach_BHP = reach_BHP / among_BHPP.sum(dim=-1)
    return reach_BHP.mean(dim=-1)
