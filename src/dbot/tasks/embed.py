"""Images to features, with any trained backbone."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from dbot.base.errors import UserError
from dbot.data.folders import images_below
from dbot.data.images import read_ahead, read_image
from dbot.data.transforms import Transform
from dbot.params.probes import Pooling
from dbot.params.scales import Normalisation
from dbot.tasks.features import Pace, by_timm


@dataclass(frozen=True)
class Features:
    """The features of a folder's images."""

    values: Tensor
    """(n, width), float32, on the CPU."""
    paths: list[str]
    """Of the images, relative to the folder, with ``/``."""
    unreadable: list[str]
    """A line for each image that doesn't decode."""


@torch.no_grad()
def embed(
    network: nn.Module,
    pooling: Pooling,
    folder: Path,
    transform: Transform,
    statistics: Normalisation,
    device: torch.device,
    batch: int,
    progress_seconds: float,
) -> Features:
    """The features of all images of a folder; what doesn't decode is left out and named.

    Args:
        network: a ViT of timm, on the device, in eval mode.
        pooling: the mean of the last block's patch tokens, or its class token; both after the final norm.
        folder: where the images are, itself or below.
        transform: what makes an image the network's input, up to the pixel statistics.
        statistics: those of the network.
        device: where it is.
        batch: images in one forward pass.
        progress_seconds: how often a line says how far it is.

    Raises:
        UserError: the folder holds no image that can be decoded.
    """
    names = images_below(folder)
    batches = [names[start : start + batch] for start in range(0, len(names), batch)]
    describer, pace = by_timm(network, statistics, pooling), Pace(len(names), progress_seconds)
    values: list[Tensor] = []
    paths: list[str] = []
    unreadable: list[str] = []

    def read(name: str) -> Tensor | UserError:
        try:
            return transform(read_image(folder / name))
        except UserError as error:
            return error

    done = 0
    for part, crops in zip(batches, read_ahead(read, batches), strict=True):
        good = [crop for crop in crops if isinstance(crop, Tensor)]
        unreadable += [str(crop) for crop in crops if not isinstance(crop, Tensor)]
        paths += [name for name, crop in zip(part, crops, strict=True) if isinstance(crop, Tensor)]
        if good:
            values.append(describer.vectors(torch.stack(good).to(device)).float().cpu())
        done += len(part)
        pace.show(done)
    if not values:
        raise UserError(f"{folder}: none of its {len(names)} images can be decoded; the first: {unreadable[0]}")
    return Features(torch.cat(values), paths, unreadable)
