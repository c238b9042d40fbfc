"""Classification: fine-tuning as a task of the training loop, and its evaluation."""

from collections.abc import Mapping

import torch
from timm.data import Mixup
from timm.data.random_erasing import RandomErasing
from timm.loss import SoftTargetCrossEntropy
from torch import Tensor, nn
from torch.nn import functional

from dbot.base.seeds import generator
from dbot.data.labelled import TrainingImages, ValidationImages
from dbot.data.manifest import Manifest
from dbot.data.transforms import evaluation_transform, finetune_transform, normalise
from dbot.measure.classification import Scores, Tally
from dbot.models.classifier import Classifier, build_classifier, initialise_head
from dbot.models.encoder import initialise
from dbot.models.symmetric import Positions, build_symmetric_classifier, initialise_symmetric
from dbot.params.recipes import AsymmetricFinetune, Finetuning, SymmetricFinetune
from dbot.params.scales import Normalisation
from dbot.params.teachers import Architecture
from dbot.train.distributed import Processes
from dbot.train.loading import by_batch
from dbot.train.precision import autocast_type
from dbot.train.task import Metrics, Step, Task


def classifier_for(
    architecture: Architecture,
    recipe: AsymmetricFinetune | SymmetricFinetune,
    classes: int,
    start: Mapping[str, Tensor] | None,
    drop_path: float = 0.0,
) -> Classifier:
    """The classifier of the recipe's design, with timm's weights.

    Args:
        architecture: the student's.
        recipe: names the design, the image size and the pooling.
        classes: number of them.
        start: weights that it will get, whose kinds of positions it has; None: random ones.
        drop_path: stochastic depth of the last block.
    """
    size = recipe.image_size or architecture.image_size
    if isinstance(recipe, AsymmetricFinetune):
        return build_classifier(architecture, classes, size, recipe.pooling, drop_path)
    positions = Positions(recipe.relative_positions, recipe.absolute_positions) if start is None else Positions.of(start)
    return build_symmetric_classifier(architecture, positions, recipe.layer_scale, classes, size, recipe.pooling, drop_path)


def initialise_classifier(classifier: Classifier, recipe: AsymmetricFinetune | SymmetricFinetune, seed: int) -> None:
    """Draw all weights of a classifier anew, its head as the recipe says."""
    if isinstance(recipe, AsymmetricFinetune):
        initialise(classifier, generator(seed, "classifier"))
    else:
        initialise_symmetric(classifier, generator(seed, "classifier"), recipe.initial_std)
    initialise_head(classifier, recipe.head_init_std, generator(seed, "head"))
    if isinstance(recipe, SymmetricFinetune):
        with torch.no_grad():
            classifier.head.weight.mul_(recipe.head_scale)
            classifier.head.bias.mul_(recipe.head_scale)


def finetune_task(
    title: str,
    classifier: Classifier,
    recipe: Finetuning,
    seed: int,
    manifest: Manifest,
    statistics: Normalisation,
    processes: Processes,
    batch_per_process: int,
) -> Task:
    """Supervised fine-tuning with timm's augmentation and mixing; measured on the validation images after every epoch."""
    size = classifier.patch_embed.img_size[0]
    mixing, config = recipe.augmentation.mixup, recipe.augmentation
    images = TrainingImages(manifest, finetune_transform(config, size), seed, recipe.label_fraction)
    erase = RandomErasing(config.random_erase, mode="pixel", max_count=1, device=processes.device.type) if config.random_erase else None
    mixed = mixing.probability > 0 and (mixing.mixup > 0 or mixing.cutmix > 0)
    mix = Mixup(
        mixup_alpha=mixing.mixup,
        cutmix_alpha=mixing.cutmix,
        prob=mixing.probability,
        switch_prob=mixing.switch_probability,
        label_smoothing=recipe.label_smoothing,
        num_classes=len(manifest.classes),
    )
    soft = SoftTargetCrossEntropy()

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor], step: Step) -> Tensor:
        crops, labels = normalise(batch[0], statistics), batch[1]
        if erase is not None:
            crops = erase(crops)
        if mixed and len(crops) % 2 == 0:  # timm mixes pairs
            crops, targets = mix(crops, labels)
            value: Tensor = soft(model(crops).float(), targets)
            return value
        return functional.cross_entropy(model(crops).float(), labels, label_smoothing=recipe.label_smoothing)

    def measure(model: nn.Module) -> Metrics:
        found = evaluate(model, recipe.evaluation_resize, size, recipe.precision, manifest, statistics, processes, batch_per_process)
        return found.accuracy

    return Task(
        title=title,
        recipe=recipe,
        model=classifier,
        images=images,
        loss=loss,
        seed=seed,
        evaluate=measure,
        evaluate_every=recipe.evaluate_every,
        best="top1",
    )


@torch.no_grad()
def evaluate(
    model: nn.Module,
    resize: float,
    size: int,
    precision: str,
    manifest: Manifest,
    statistics: Normalisation,
    processes: Processes,
    batch_per_process: int,
) -> Scores:
    """What is measured of a classifier, every validation image counted once on any number of processes."""
    images = ValidationImages(manifest, evaluation_transform(size, resize), processes.rank, processes.world)
    tally, autocast = Tally(processes.device), autocast_type(precision)
    for crops, labels in by_batch(images, batch_per_process, processes):
        with torch.autocast(processes.device.type, dtype=autocast, enabled=autocast is not None):
            logits = model(normalise(crops, statistics)).float()
        tally.add(logits, labels)
    return tally.scores(processes)
