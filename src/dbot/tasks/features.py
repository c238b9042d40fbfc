"""Features of labelled images, from any frozen network, on any number of processes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dbot.base.errors import UserError
from dbot.data.images import read_ahead
from dbot.data.labelled import LabelledPixels
from dbot.data.transforms import Transform, evaluation_transform, normalise
from dbot.measure.knn import LabelledFeatures
from dbot.models.encoder import encode_all
from dbot.models.teachers.networks import NetworkTeacher
from dbot.models.teachers.teacher import Teacher
from dbot.params.probes import Pooling
from dbot.params.scales import Normalisation
from dbot.train.distributed import Processes
from dbot.train.precision import autocast_type


@dataclass(frozen=True)
class Describer:
    """A frozen network as a function from crops to vectors."""

    image_size: int
    """Side of the crops, in pixels."""
    vectors: Callable[[Tensor], Tensor]
    """uint8 crops (B, 3, size, size) on its device to (B, width)."""
    transform: Transform | None = None
    """How an image becomes a crop. None: its short side is resized as asked for, and its middle is taken."""


def by_encoder(encoder: Any, statistics: Normalisation, pooling: Pooling) -> Describer:
    """An encoder of this project, in eval mode: pooled tokens after its final norm."""
    return Describer(
        int(encoder.patch_embed.img_size[0]),
        lambda crops_BCHW: pool(encode_all(encoder, normalise(crops_BCHW, statistics), True), pooling),
    )


def by_timm(network: Any, statistics: Normalisation, pooling: Pooling) -> Describer:
    """A ViT of timm, in eval mode: pooled tokens after its final norm, which a classifier of averages has after the pooling."""

    def vectors(crops_BCHW: Tensor) -> Tensor:
        tokens_BND = network.forward_features(normalise(crops_BCHW, statistics))
        normed_BD: Tensor = network.fc_norm(pool(tokens_BND, pooling, int(network.num_prefix_tokens)))
        return normed_BD

    return Describer(int(network.patch_embed.img_size[0]), vectors)


def by_teacher(teacher: Teacher, pooling: Pooling) -> Describer:
    """A teacher that takes pixels: its pooled tokens, and then the norm that a classifier of averages has there.

    Raises:
        UserError: its class token is asked for, and it has none.
    """
    if pooling == "class_token" and not teacher.has_class_token:
        raise UserError("pooling is class_token, but the teacher has no class token; set it to average")
    first_patch = int(teacher.has_class_token)
    normed = getattr(teacher.network, "fc_norm", nn.Identity()) if isinstance(teacher, NetworkTeacher) else nn.Identity()

    def vectors(crops_BCHW: Tensor) -> Tensor:
        pooled_BD: Tensor = normed(pool(teacher(crops_BCHW.float() / 255), pooling, first_patch))
        return pooled_BD

    return Describer(teacher.image_size, vectors)


def pool(tokens_BND: Tensor, pooling: Pooling, first_patch: int = 1) -> Tensor:
    """One vector an image, (B, width): the mean of the patch tokens, or the token before them."""
    return tokens_BND[:, 0] if pooling == "class_token" else tokens_BND[:, first_patch:].mean(dim=1)


class Pace:
    """Says now and then how many images are done."""

    def __init__(self, total: int, every_seconds: float, doing: str = "embedded") -> None:
        self.total = total
        self.doing = doing
        self.every_seconds = every_seconds
        self.started = self.last = time.monotonic()

    def show(self, done: int) -> None:
        """Print a line if one is due."""
        now = time.monotonic()
        if now - self.last >= self.every_seconds:
            self.last, rate = now, done / (now - self.started)
            print(f"{self.doing} {done} of {self.total} images, {rate:.0f}/s, {(self.total - done) / rate:.0f} s left", flush=True)


@torch.no_grad()
def features(
    describer: Describer,
    images: LabelledPixels,
    resize: float,
    precision: str,
    processes: Processes,
    batch_per_process: int,
    progress_seconds: float = float("inf"),
) -> LabelledFeatures:
    """The features of all images in their order, each once, on each process; every process computes its share.

    Args:
        describer: the network, on the processes' device.
        images: of a labelled part.
        resize: short side before the central crop, over the crop's, where the describer has no transform of its own.
        precision: autocast type of the network.
        processes: this one among all.
        batch_per_process: images in one forward pass.
        progress_seconds: how often the leading process says how far it is.
    """
    transform = describer.transform or evaluation_transform(describer.image_size, resize)
    autocast = autocast_type(precision)
    device, world, count = processes.device, processes.world, len(images)
    rounds = [(start, min(batch_per_process, -(-(count - start) // world))) for start in range(0, count, batch_per_process * world)]
    # Every process takes as many images in every round; those beyond the end repeat the last, and are cut off.
    shares = [np.minimum(np.arange(size) * world + start + processes.rank, count - 1).tolist() for start, size in rounds]
    pace = Pace(count, progress_seconds if processes.leads else float("inf"))
    values: list[Tensor] = []
    for (start, size), crops in zip(rounds, read_ahead(lambda number: transform(images[number][0]), shares), strict=True):
        with torch.autocast(device.type, dtype=autocast, enabled=autocast is not None):
            mine_BD = describer.vectors(torch.stack(crops).to(device)).float()
        in_order = processes.gather(mine_BD).transpose(0, 1).flatten(0, 1)
        done = min(start + size * world, count)
        values.append(in_order[: done - start].cpu())
        pace.show(done)
    return LabelledFeatures(torch.cat(values), torch.from_numpy(images.labels))
