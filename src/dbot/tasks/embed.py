"""Images to features, with any trained backbone."""

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from dbot.data.images import read_image
from dbot.data.layouts.imagefolder import SUFFIXES
from dbot.data.transforms import Transform, normalise
from dbot.errors import UserError
from dbot.params.scales import Normalisation

Pooling = Literal["average", "class_token"]

DECODERS = 8
"""Threads that decode images; Pillow lets them run at once."""


@dataclass(frozen=True)
class Features:
    """The features of a folder's images."""

    values: Tensor
    """(n, width), float32, on the CPU."""
    paths: list[str]
    """Of the images, relative to the folder, with ``/``."""
    unreadable: list[str]
    """A line for each image that doesn't decode."""


def images_below(folder: Path) -> list[str]:
    """The image files in a folder and all below it, relative to it, in the order of their names.

    Raises:
        UserError: it is no folder, or holds none.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: is not a folder; name one that holds images")
    found = [path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()]
    if not found:
        raise UserError(f"{folder}: holds no image ({', '.join(SUFFIXES)}); name a folder that does")
    return sorted(path.relative_to(folder).as_posix() for path in found)


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
    values: list[Tensor] = []
    paths: list[str] = []
    unreadable: list[str] = []
    started = last = time.monotonic()
    for at, crops in enumerate(_decoded(folder, names, transform, batch)):
        part = names[at * batch : (at + 1) * batch]
        good = [crop for crop in crops if isinstance(crop, Tensor)]
        unreadable += [str(crop) for crop in crops if not isinstance(crop, Tensor)]
        paths += [name for name, crop in zip(part, crops, strict=True) if isinstance(crop, Tensor)]
        if good:
            values.append(pooled(network, normalise(torch.stack(good).to(device), statistics), pooling).float().cpu())
        now, done = time.monotonic(), at * batch + len(part)
        if now - last >= progress_seconds:
            last, rate = now, done / (now - started)
            print(f"embedded {done} of {len(names)} images, {rate:.0f}/s, {(len(names) - done) / rate:.0f} s left", flush=True)
    if not values:
        raise UserError(f"{folder}: none of its {len(names)} images can be decoded; the first: {unreadable[0]}")
    return Features(torch.cat(values), paths, unreadable)


def pooled(network: Any, images_BCHW: Tensor, pooling: Pooling) -> Tensor:
    """One vector an image: (B, width)."""
    tokens_BND = network.forward_features(images_BCHW)
    vector_BD = tokens_BND[:, 0] if pooling == "class_token" else tokens_BND[:, 1:].mean(dim=1)
    # A classifier of averages has its norm after the pooling; elsewhere this does nothing.
    normed: Tensor = network.fc_norm(vector_BD)
    return normed


def _decoded(folder: Path, names: Sequence[str], transform: Transform, batch: int) -> Iterator[list[Tensor | UserError]]:
    def read(name: str) -> Tensor | UserError:
        try:
            return transform(read_image(folder / name))
        except UserError as error:
            return error

    with ThreadPoolExecutor(min(DECODERS, os.cpu_count() or 1)) as pool:
        for start in range(0, len(names), batch):
            yield list(pool.map(read, names[start : start + batch]))
