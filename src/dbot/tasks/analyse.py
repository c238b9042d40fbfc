"""The insides of one frozen network over the validation images, on any number of processes."""

from collections.abc import Iterator
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from dbot.base.errors import UserError
from dbot.data.images import read_ahead
from dbot.data.labelled import LabelledPixels, Numbers
from dbot.data.manifest import Manifest
from dbot.data.transforms import evaluation_transform
from dbot.measure.analysis import analyse_network
from dbot.measure.cka import compare_networks
from dbot.measure.insides import Insides, Similarity
from dbot.models.teachers.teacher import Teacher
from dbot.params.probes import Analysis
from dbot.tasks.features import Pace
from dbot.train.distributed import Processes
from dbot.train.task import Metrics


def analyse(
    network: Teacher,
    config: Analysis,
    manifest: Manifest,
    processes: Processes,
    batch_per_process: int,
    progress_seconds: float = float("inf"),
) -> Insides:
    """Attention distance of every head, in pixels of the network's images, and singular-value shares of every layer.

    Every process takes its share of the images, and gets the means over all of them.

    Raises:
        UserError: the network is no plain ViT.
    """
    images = _batches(network.image_size, config, manifest, processes, batch_per_process, progress_seconds)
    return analyse_network(network, images, processes.device, processes.sum, config.renormalise, config.top)


def compare(
    first: Teacher,
    second: Teacher,
    config: Analysis,
    manifest: Manifest,
    processes: Processes,
    batch_per_process: int,
    progress_seconds: float = float("inf"),
) -> Similarity:
    """Linear CKA of all pairs of layers of two students, every patch an example.

    Raises:
        UserError: they don't see images of one size in as many patches.
    """
    if first.image_size != second.image_size:
        raise UserError(
            f"students of images of {first.image_size} and {second.image_size} px can't be compared patch by patch; compare others"
        )
    images = _batches(first.image_size, config, manifest, processes, batch_per_process, progress_seconds)
    return compare_networks(first, second, images, processes.device, processes.sum)


def _batches(
    image_size: int, config: Analysis, manifest: Manifest, processes: Processes, batch_per_process: int, progress_seconds: float
) -> Iterator[Tensor]:
    """This process's share of the validation images, as pixels in 0..1: (B, 3, H, W)."""
    samples = manifest.samples("validation")
    if not len(samples):
        raise UserError(f"{manifest.title!r} has no validation images, which are looked at; name another set under uses.cls")
    images = LabelledPixels(manifest.root, samples, some(len(samples), config.images)[processes.rank :: processes.world], manifest.upright)
    transform = evaluation_transform(image_size, config.evaluation_resize)
    rounds = [range(start, min(start + batch_per_process, len(images))) for start in range(0, len(images), batch_per_process)]
    pace = Pace(len(images), progress_seconds if processes.leads else float("inf"), "analysed")
    for numbers, crops in zip(rounds, read_ahead(lambda number: transform(images[number][0]), rounds), strict=True):
        yield torch.stack(crops).float() / 255
        pace.show(numbers.stop)


def some(count: int, most: int | None) -> Numbers:
    """Numbers of so many images at most, at equal steps through all."""
    wanted = count if most is None else min(most, count)
    return np.arange(wanted) * count // max(1, wanted)


def summary(found: Insides) -> Metrics:
    """The properties in a few numbers: mean attention distance in pixels, and shares in the last layer."""
    shares = found.shares[-1]
    return {
        "attention_distance": fmean(distance for heads in found.distances for distance in heads),
        "attention_distance_first_layer": fmean(found.distances[0]),
        "attention_distance_last_layer": fmean(found.distances[-1]),
        "top1_share_last_layer": shares[0],
        f"top{len(shares)}_share_last_layer": shares[-1],
    }
