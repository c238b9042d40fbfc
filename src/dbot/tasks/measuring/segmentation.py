"""Linear segmentation: how much of a label map one linear layer finds in the patch tokens of a frozen network."""

import math
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from dbot.base.seeds import generator
from dbot.data.at_hand import MapsFolder
from dbot.data.images import read_ahead
from dbot.data.labelmaps.pairs import Pair
from dbot.data.labelmaps.values import IGNORE
from dbot.data.layouts.listing import Part
from dbot.data.transforms import Transform
from dbot.models.subject import Subject, squashed
from dbot.models.teachers.networks import NetworkTeacher
from dbot.models.teachers.teacher import Teacher
from dbot.params.probes import LinearSegmentation
from dbot.tasks.confusion import Scores, confusion, scores
from dbot.tasks.features import Pace
from dbot.tasks.measuring.findings import Finding, Run, findings
from dbot.train.precision import autocast_type


class SomePairs(Protocol):
    """Images by number, uint8 (3, H, W), with the classes of their pixels (H, W)."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> Pair: ...


class FolderPairs:
    """The images of a part of a folder by number, with the classes of their pixels."""

    def __init__(self, folder: MapsFolder, part: Part) -> None:
        self.folder, self.samples = folder, folder.samples[part]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> Pair:
        return self.folder.pair(self.samples[number])


def segmentation(subject: Subject, folder: MapsFolder, config: LinearSegmentation, run: Run) -> list[Finding]:
    """mIoU, mean and overall accuracy of pixels on the validation images.

    Raises:
        UserError: the network gives no square map of tokens, or a file is broken.
    """
    network = NetworkTeacher(subject.network, subject.title, subject.image_size, subject.statistics, final_norm=True).to(run.device)
    train, validation = FolderPairs(folder, "train"), FolderPairs(folder, "validation")
    found = linear_segmentation(network, squashed(subject), train, validation, len(folder.classes), config, run)
    metrics = {"mIoU": (found.mean_iou, "%"), "mean accuracy": (found.mean_accuracy, "%"), "pixel accuracy": (found.accuracy, "%")}
    return findings("segmentation", metrics, len(validation))


def linear_segmentation(
    network: Teacher, whole: Transform, train: SomePairs, validation: SomePairs, classes: int, config: LinearSegmentation, run: Run
) -> Scores:
    """How well a linear layer over a frozen network's patch tokens labels the pixels of the validation images.

    Every image is seen as a whole, as a square of the network's size. Its tokens after the final norm are standardised over the
    training images, a linear layer gives logits for each, and these are enlarged (bilinear) to the label map: to its square while
    the layer is trained, by cross-entropy over the pixels that have a class, and to its own size when it is measured. The tokens
    of the training images stay in main memory: 600 kB an image for a ViT-B/16 at 224 px.

    Args:
        network: which, on the run's device.
        whole: makes such a square of an image.
        train: images and their classes, on which the layer is trained.
        validation: those on which it is measured.
        classes: number of them.
        config: how the layer is trained.
        run: how the network is run. Each of several processes does all of it.

    Raises:
        UserError: a file is broken.
    """
    tokens_NDGG, maps_NSS = _seen(network, whole, train, run)
    mean_D11 = tokens_NDGG.mean(dim=(0, 2, 3)).view(-1, 1, 1)
    std_D11 = tokens_NDGG.std(dim=(0, 2, 3), correction=0).clamp_min(1e-6).view(-1, 1, 1)
    layer = trained_layer(tokens_NDGG.sub_(mean_D11).div_(std_D11), maps_NSS, classes, config, run.device)
    matrix = torch.zeros(classes, classes, dtype=torch.int64)
    for tokens_BDGG, truths in _batches(network, whole, validation, run):
        with torch.no_grad():
            logits_BCGG = layer(((tokens_BDGG - mean_D11) / std_D11).to(run.device)).cpu()
        for logits_CGG, truth_HW in zip(logits_BCGG, truths, strict=True):
            large = functional.interpolate(logits_CGG.unsqueeze(0), size=truth_HW.shape, mode="bilinear", align_corners=False)
            matrix += confusion(truth_HW, large[0].argmax(dim=0), classes)
    return scores(matrix)


def trained_layer(tokens_NDGG: Tensor, maps_NSS: Tensor, classes: int, config: LinearSegmentation, device: torch.device) -> nn.Conv2d:
    """A linear layer from tokens to logits.

    Args:
        tokens_NDGG: standardised, of the training images.
        maps_NSS: classes of their pixels, as squares; `IGNORE` for none.
        classes: number of them.
        config: how it is trained.
        device: where.
    """
    draws, (count, width, side) = generator(config.seed, "linear segmentation"), (*tokens_NDGG.shape[:2], maps_NSS.shape[1])
    layer = nn.Conv2d(width, classes, 1)
    nn.init.normal_(layer.weight, std=0.01, generator=draws)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    layer.to(device)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    steps = config.epochs * math.ceil(count / config.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(config.epochs):
        for chosen in torch.randperm(count, generator=draws).split(config.batch_size):
            truth_BSS = maps_NSS[chosen].to(device).long()
            logits = functional.interpolate(layer(tokens_NDGG[chosen].to(device)), size=(side, side), mode="bilinear", align_corners=False)
            labelled = (truth_BSS != IGNORE).sum().clamp_min(1)
            loss = functional.cross_entropy(logits, truth_BSS, ignore_index=IGNORE, reduction="sum") / labelled
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return layer.eval()


def _seen(network: Teacher, whole: Transform, pairs: SomePairs, run: Run) -> tuple[Tensor, Tensor]:
    """Tokens (N, D, G, G) and label maps (N, size, size) of some images."""
    tokens, maps = [], []
    for found_BDGG, truths in _batches(network, whole, pairs, run):
        tokens.append(found_BDGG)
        square = (network.image_size, network.image_size)
        maps += [functional.interpolate(truth[None, None].float(), size=square, mode="nearest-exact")[0, 0].byte() for truth in truths]
    return torch.cat(tokens), torch.stack(maps)


def _batches(network: Teacher, whole: Transform, pairs: SomePairs, run: Run) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Tokens (B, D, G, G) on the CPU, and the classes of the images' pixels at their own sizes."""
    autocast = autocast_type(run.precision)
    batches = [list(range(start, min(start + run.batch, len(pairs)))) for start in range(0, len(pairs), run.batch)]
    pace, done = Pace(len(pairs), run.progress_seconds if run.processes.leads else float("inf"), "looked at"), 0

    def read(number: int) -> Pair:
        image, truth = pairs[number]
        return whole(image), truth

    for seen in read_ahead(read, batches):
        crops = torch.stack([crop for crop, _ in seen]).to(run.device)
        with torch.no_grad(), torch.autocast(run.device.type, dtype=autocast, enabled=autocast is not None):
            tokens_BND = network(crops.float() / 255).float().cpu()
        map_BDN = tokens_BND[:, int(network.has_class_token) :].transpose(1, 2)
        done += len(seen)
        pace.show(done)
        yield map_BDN.unflatten(2, (network.grid, network.grid)), [truth for _, truth in seen]
