"""What measurements hand back, and how they run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dbot.data.images import read_ahead
from dbot.data.labelled import LabelledPixels
from dbot.data.transforms import Transform, normalise
from dbot.models.subject import Subject
from dbot.tasks.features import Pace
from dbot.train.distributed import Processes
from dbot.train.precision import autocast_type


@dataclass(frozen=True)
class Run:
    """How a network is run."""

    processes: Processes
    """This one among those that share the images."""
    batch: int
    """Images in one forward pass."""
    precision: str
    """Autocast type: fp32, bf16 or fp16."""
    progress_seconds: float = float("inf")
    """How often a line says how far it is."""

    @property
    def device(self) -> torch.device:
        return self.processes.device


@dataclass(frozen=True)
class Finding:
    """One number."""

    measure: str
    """What was measured: cls, knn, …"""
    part: str
    """Of what, where it is not the whole: a corruption, a number of images a class."""
    metric: str
    value: float
    unit: str
    """`%` or a word; empty for plain numbers."""
    images: int | None
    """Over how many it is measured. None: over none."""


def findings(measure: str, metrics: Mapping[str, tuple[float, str]], images: int | None, part: str = "") -> list[Finding]:
    """Numbers over the same images: by metric, its value and unit."""
    return [Finding(measure, part, metric, value, unit, images) for metric, (value, unit) in metrics.items()]


@torch.no_grad()
def outputs(
    subject: Subject, images: LabelledPixels, run: Run, numbers: Sequence[int] | None = None, transform: Transform | None = None
) -> Iterator[tuple[Tensor, Tensor, list[int]]]:
    """Logits (B, outputs) in float32, labels (B,) and numbers of images, batch by batch, of this process's share of the images.

    Args:
        subject: the network, on the run's device.
        images: with their labels.
        run: how.
        numbers: of the images that count, in their order. None: all.
        transform: how an image is prepared. None: as the network wants it.
    """
    processes = run.processes
    chosen = list(range(len(images)) if numbers is None else numbers)[processes.rank :: processes.world]
    batches = [chosen[start : start + run.batch] for start in range(0, len(chosen), run.batch)]
    prepare, autocast = transform or subject.transform, autocast_type(run.precision)
    pace, done = Pace(len(chosen), run.progress_seconds if processes.leads else float("inf"), "classified"), 0
    labels_N = torch.from_numpy(images.labels)
    for batch, crops in zip(batches, read_ahead(lambda number: prepare(images[number][0]), batches), strict=True):
        with torch.autocast(run.device.type, dtype=autocast, enabled=autocast is not None):
            logits = subject.network(normalise(torch.stack(crops).to(run.device), subject.statistics)).float()
        done += len(batch)
        pace.show(done)
        yield logits, labels_N[batch].to(run.device), batch
