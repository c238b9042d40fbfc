"""k-NN while a student is pre-trained: the same few images after every so many epochs."""

from collections.abc import Callable

from torch import nn

from dbot.base.errors import UserError
from dbot.data.labelled import LabelledPixels, evenly
from dbot.data.manifest import Manifest
from dbot.measure.knn import knn, require_neighbours
from dbot.models.timm_form import evaluation_resize
from dbot.params.probes import Monitor
from dbot.params.scales import Normalisation
from dbot.tasks.features import by_encoder, features
from dbot.train.distributed import Processes
from dbot.train.task import Metrics


def monitor(
    config: Monitor,
    precision: str,
    seed: int,
    manifest: Manifest,
    statistics: Normalisation,
    processes: Processes,
    batch_per_process: int,
) -> Callable[[nn.Module], Metrics]:
    """What a task calls to evaluate a student: `knn`, the top-1 accuracy in percent, of its encoder on whole images.

    It draws from no random state, and leaves the student as it is.

    Args:
        config: how many images, which neighbours.
        precision: autocast type of the encoder.
        seed: decides which images.
        manifest: the data set; its images have classes.
        statistics: pixel statistics that the student sees.
        processes: each describes its share of the images.
        batch_per_process: images in one forward pass.

    Raises:
        UserError: the images have no classes, or are fewer than the neighbours.
    """

    def some(part: str, about: int) -> LabelledPixels:
        samples = manifest.samples(part)
        if (samples.labels < 0).any():
            raise UserError(f"monitor needs the classes of its images, and {manifest.title!r} has none; set monitor to null in the recipe")
        return LabelledPixels(manifest.root, samples, evenly(samples.labels, about / len(samples), seed), manifest.upright)

    train, validation = some("train", config.train_images), some("validation", config.validation_images)
    require_neighbours([config.k], len(train), "monitor.k")

    def evaluate(student: nn.Module) -> Metrics:
        describer = by_encoder(student.encoder, statistics, config.pooling)
        resize = evaluation_resize(describer.image_size)
        known, asked = (features(describer, part, resize, precision, processes, batch_per_process) for part in (train, validation))
        return {"knn": knn(known, asked, [config.k], config.temperature, len(manifest.classes), processes)[config.k]}

    return evaluate
