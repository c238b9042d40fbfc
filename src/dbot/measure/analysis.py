"""One network's properties over a set of images, streamed: memory does not grow with the set."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from dbot.base.errors import UserError
from dbot.measure.anatomy import anatomy_of
from dbot.measure.distance import attention_distance, patch_distances
from dbot.measure.insides import Grid, Insides
from dbot.measure.listening import attention_heard, tokens_heard
from dbot.measure.spectrum import TOP, singular_shares


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
