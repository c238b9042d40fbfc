"""How like two networks' tokens are, layer by layer: linear CKA (Kornblith et al., arXiv 1905.00414)."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from dbot.base.errors import UserError
from dbot.measure.analysis import alone, tokens_heard
from dbot.measure.anatomy import Anatomy, anatomy_of
from dbot.measure.insides import Similarity


class Moments:
    """Sums over examples from which covariances follow, within each layer and between the layers of two networks.

    They are exact, whatever the batches: no minibatch estimate is averaged. Everything is
    float64, so that means far from 0, which residual streams have, cost no digits. The sums between
    networks take depth² width² numbers: 0.7 GB for two ViT-B, 13 GB for two ViT-H, on any number of images.

    Args:
        first: (depth, width) of the first network.
        second: of the second.
        device: where the sums are.
    """

    def __init__(self, first: tuple[int, int], second: tuple[int, int], device: torch.device) -> None:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        (a, d), (b, e) = first, second
        self.count_1 = zeros(1)
        self.sum_AD, self.sum_BE = zeros(a, d), zeros(b, e)
        self.products_ADD, self.products_BEE = zeros(a, d, d), zeros(b, e, e)
        self.products_ADBE = zeros(a, d, b * e)

    def add(self, first_AnD: Tensor, second_BnE: Tensor) -> None:
        """Count n examples, each seen by all layers of both networks."""
        second_nBE = second_BnE.transpose(0, 1).flatten(1)
        self.count_1 += first_AnD.shape[1]
        self.sum_AD += first_AnD.sum(dim=1)
        self.sum_BE += second_BnE.sum(dim=1)
        self.products_ADD.baddbmm_(first_AnD.mT, first_AnD)
        self.products_BEE.baddbmm_(second_BnE.mT, second_BnE)
        for products_DBE, first_nD in zip(self.products_ADBE, first_AnD, strict=True):
            products_DBE.addmm_(first_nD.T, second_nBE)

    def reduce(self, total: Callable[[Tensor], Tensor]) -> None:
        """Add up over all processes, in place."""
        for sums in (self.count_1, self.sum_AD, self.sum_BE, self.products_ADD, self.products_BEE, self.products_ADBE):
            sums.copy_(total(sums))

    def cka(self) -> Tensor:
        """Linear CKA of all pairs of layers: (A, B)."""
        mean_AD, mean_BE = self.sum_AD / self.count_1, self.sum_BE / self.count_1
        rows = []
        for mean_D, products_DBE in zip(mean_AD, self.products_ADBE, strict=True):
            covariance_DBE = products_DBE / self.count_1 - torch.outer(mean_D, mean_BE.flatten())
            rows.append(covariance_DBE.view(len(mean_D), *mean_BE.shape).square().sum(dim=(0, 2)))
        norm_A1 = self._norms(self.products_ADD, mean_AD).unsqueeze(1)
        return torch.stack(rows) / (norm_A1 * self._norms(self.products_BEE, mean_BE))

    def _norms(self, products_LDD: Tensor, mean_LD: Tensor) -> Tensor:
        """Frobenius norms of the layers' covariances."""
        covariance_LDD = products_LDD / self.count_1 - mean_LD.unsqueeze(2) * mean_LD.unsqueeze(1)
        norms_L: Tensor = torch.linalg.matrix_norm(covariance_LDD)
        return norms_L


@torch.no_grad()
def compare_networks(
    first: nn.Module, second: nn.Module, images: Iterable[Tensor], device: torch.device, total: Callable[[Tensor], Tensor] = alone
) -> Similarity:
    """Linear CKA between the layers of two networks, with every patch of every image as an example.

    Tokens are taken behind each block, before any final norm, without class token.

    Args:
        first: as `analyse_network` takes it; may be of another depth and width than the second.
        second: on the same number of patches as the first.
        images: batches (B, 3, H, W) of this process's images, as both networks take them; to compare
            an encoder with a foreign teacher, wrap it as a teacher too, since these take pixels.
        device: where to compute.
        total: adds a tensor up over all processes (`Processes.sum`).

    Raises:
        UserError: one of them is no plain ViT, their grids differ, or there is no image.
    """
    one, other = anatomy_of(first), anatomy_of(second)
    if one.grid != other.grid:
        grids = " and ".join(" x ".join(map(str, anatomy.grid)) for anatomy in (one, other))
        raise UserError(
            f"networks on grids of {grids} patches can't be compared token by token; give both images of a size that makes them equal"
        )
    for network in (first, second):
        network.to(device).eval()
    moments = Moments((one.depth, one.width), (other.depth, other.width), device)
    for batch_BCHW in images:
        batch_BCHW = batch_BCHW.to(device)
        moments.add(_patch_tokens(one, batch_BCHW), _patch_tokens(other, batch_BCHW))
    moments.reduce(total)
    if not moments.count_1.item():
        raise UserError("there is no image to compare the networks on; name a data set with validation images")
    return Similarity(tuple(tuple(row) for row in moments.cka().tolist()))


def _patch_tokens(anatomy: Anatomy, images_BCHW: Tensor) -> Tensor:
    """Every layer's patch tokens, one example each: (L, B * P, D), float64."""
    heard: list[Tensor] = []
    with tokens_heard(anatomy, lambda _, tokens_BND: heard.append(tokens_BND[:, anatomy.prefix :].flatten(0, 1).double())):
        anatomy.run(images_BCHW)
    return torch.stack(heard)
