"""What the features of a frozen network hold: k-NN, linear classification, and that from a few images of each class."""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

import numpy as np
from torch import Tensor

from dbot.base.errors import UserError
from dbot.base.seeds import seed_of
from dbot.data.at_hand import LabelledFolder
from dbot.data.labelled import Numbers
from dbot.data.transforms import normalise
from dbot.measure.knn import LabelledFeatures, knn, require_neighbours
from dbot.measure.linear import accuracy, fit, linear_probe
from dbot.models.subject import Subject
from dbot.params.probes import FewShot, Linear, NearestNeighbours, Pooling
from dbot.tasks.features import Describer, by_timm, features
from dbot.tasks.measuring.findings import Finding, Run, findings
from dbot.train.distributed import Processes


def describer(subject: Subject, pooling: Pooling | None) -> Describer:
    """A network as a function to features: pooled tokens where it has some, else what its classifier gets.

    Raises:
        UserError: it is no network of timm's ways, or has no tokens to pool as asked for.
    """
    network = subject.network
    if hasattr(network, "num_prefix_tokens") and hasattr(network, "fc_norm"):
        found = by_timm(network, subject.statistics, pooling or subject.pooling)
        return Describer(subject.image_size, found.vectors, subject.transform)
    if pooling is not None:
        raise UserError(f"--pool is {pooling}: {subject.title} has no tokens, and its own pooling is taken; leave it out")
    if not (hasattr(network, "forward_features") and hasattr(network, "forward_head")):
        raise UserError(f"{subject.title}: has no features that could be taken from it; name a network of timm or a checkpoint of ours")

    def vectors(crops_BCHW: Tensor) -> Tensor:
        found: Tensor = network.forward_head(network.forward_features(normalise(crops_BCHW, subject.statistics)), pre_logits=True)
        return found

    return Describer(subject.image_size, vectors, subject.transform)


def both_parts(seen: Describer, folder: LabelledFolder, run: Run) -> tuple[LabelledFeatures, LabelledFeatures]:
    """The features of the training and of the validation images.

    Raises:
        UserError: the folder lacks one of them.
    """
    parts = [folder.part(part, "a probe") for part in ("train", "validation")]
    train, validation = (features(seen, images, 1.0, run.precision, run.processes, run.batch, run.progress_seconds) for images in parts)
    return train, validation


def nearest(train: LabelledFeatures, validation: LabelledFeatures, classes: int, config: NearestNeighbours, run: Run) -> list[Finding]:
    """Top-1 of k-NN."""
    require_neighbours(config.k, len(train), "probes.knn.k")
    found = knn(train, validation, config.k, config.temperature, classes, run.processes)
    return [one for k, top1 in found.items() for one in findings("knn", {"top-1": (top1, "%")}, len(validation), f"k = {k}")]


def linear(train: LabelledFeatures, validation: LabelledFeatures, classes: int, config: Linear, run: Run) -> list[Finding]:
    """Top-1 of the linear probe, with the strength of its penalty, and whether its solver came to its end."""
    found = linear_probe(train, validation, classes, config, run.processes)
    said = "" if found.converged else "solver cut off"
    return [
        *findings("linear", {"top-1": (found.top1, "%")}, len(validation), said),
        *findings("linear", {"strength": (found.strength, ""), "held-out top-1": (found.held_out[found.strength], "%")}, None),
    ]


def draw(labels: Numbers, each: int, seed: int, number: int) -> Numbers:
    """Numbers of so many training images of each class, in order.

    Args:
        labels: of all.
        each: images of a class.
        seed: of the drawing.
        number: of the draw.

    Raises:
        UserError: a class has fewer.
    """
    random = np.random.default_rng(seed_of(seed, "few", each, number))
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < each:
            raise UserError(f"few_shot.images names {each} images of a class, and one has only {len(members)}; take {each} out")
        chosen.append(random.choice(members, size=each, replace=False))
    return np.sort(np.concatenate(chosen))


def drawn(labels: Numbers, config: FewShot) -> dict[int, list[Numbers]]:
    """By number of images a class, the training images of each draw, in order."""
    return {each: [draw(labels, each, config.seed, number) for number in range(config.draws)] for each in config.images}


def few_shot_accuracy(
    train: LabelledFeatures,
    validation: LabelledFeatures,
    classes: int,
    draws: Mapping[int, Sequence[Numbers]],
    strength: float,
    solver: Linear,
    processes: Processes,
) -> dict[int, list[float]]:
    """By number of images a class, top-1 in percent of a linear probe for each draw.

    Args:
        train: features of all images that are drawn.
        validation: those on which the probes are measured.
        classes: number of them.
        draws: as `drawn` gives them, by their numbers in `train`.
        strength: of the penalty.
        solver: how the probes are solved.
        processes: each takes its share of the rows.
    """
    everything = np.arange(len(validation))
    return {
        each: [accuracy(fit(train, numbers, classes, strength, solver, processes), validation, everything, processes) for numbers in chosen]
        for each, chosen in draws.items()
    }


def few_shot(
    train: LabelledFeatures, validation: LabelledFeatures, classes: int, config: FewShot, solver: Linear, run: Run
) -> list[Finding]:
    """Mean and standard deviation over the draws of the top-1 of linear probes that saw a few images of each class.

    Raises:
        UserError: a class has too few.
    """
    draws = drawn(train.labels_N.numpy(), config)
    found: list[Finding] = []
    for each, top1 in few_shot_accuracy(train, validation, classes, draws, config.strength, solver, run.processes).items():
        metrics = {"top-1": (fmean(top1), "%"), "sd": (stdev(top1), "points")}
        found += findings("fewshot", metrics, len(validation), f"{each} a class, {config.draws} draws")
    return found
