"""Both probes of one frozen network."""

import numpy as np

from dbot.data.labelled import LabelledPixels
from dbot.data.manifest import Manifest
from dbot.measure.knn import knn, require_neighbours
from dbot.measure.linear import linear_probe
from dbot.params.probes import Probes
from dbot.tasks.features import Describer, features
from dbot.train.distributed import Processes
from dbot.train.task import Metrics


def probe(
    describer: Describer,
    config: Probes,
    manifest: Manifest,
    processes: Processes,
    batch_per_process: int,
    progress_seconds: float = float("inf"),
) -> Metrics:
    """Top-1 of the validation images, in percent: `knn_<k>` for every k, and `linear`.

    Beside them `linear_strength` that was chosen, `linear_held_out`, the accuracy that chose it,
    and `linear_converged`, 0 if the solver was cut off before its tolerance was met.

    Raises:
        UserError: the data set has too few training images for the configuration, or images without classes.
    """
    manifest.require_labels("a probe")
    require_neighbours(config.knn.k, manifest.counts["train"], "probes.knn.k")
    train, validation = (
        features(
            describer,
            LabelledPixels(manifest.root, samples, np.arange(len(samples)), manifest.upright),
            config.evaluation_resize,
            config.precision,
            processes,
            batch_per_process,
            progress_seconds,
        )
        for samples in (manifest.samples("train"), manifest.samples("validation"))
    )
    classes = len(manifest.classes)
    near = knn(train, validation, config.knn.k, config.knn.temperature, classes, processes)
    linear = linear_probe(train, validation, classes, config.linear, processes)
    return {
        **{f"knn_{k}": top1 for k, top1 in near.items()},
        "linear": linear.top1,
        "linear_strength": linear.strength,
        "linear_held_out": linear.held_out[linear.strength],
        "linear_converged": float(linear.converged),
    }
