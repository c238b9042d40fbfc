"""Linear segmentation: how much of a label map one linear layer finds in the patch tokens of a frozen network."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from dbot.base.seeds import generator
from dbot.data.at_hand import MapsFolder
from dbot.data.images import read_ahead
from dbot.data.labelmaps.values import IGNORE
from dbot.data.layouts.listing import Part, Sample
from dbot.models.subject import Subject, squashed
from dbot.models.teachers.networks import NetworkTeacher
from dbot.params.probes import LinearSegmentation
from dbot.tasks.confusion import confusion, scores
from dbot.tasks.features import Pace
from dbot.tasks.unplanned.findings import Finding, Run, findings
from dbot.train.precision import autocast_type


def segmentation(subject: Subject, folder: MapsFolder, config: LinearSegmentation, run: Run) -> list[Finding]:
    """mIoU, mean and overall accuracy of pixels on the validation images.

    Every image is seen as a whole, as a square of the network's size. Its tokens after the final norm are standardised over the
    training images, a linear layer gives logits for each, and these are enlarged (bilinear) to the label map: to its square while
    the layer is trained, by cross-entropy over the pixels that have a class, and to its own size when it is measured. The tokens
    of the training images stay in main memory: 600 kB an image for a ViT-B/16 at 224 px.

    Raises:
        UserError: the network gives no square map of tokens, or a file is broken.
    """
    network = NetworkTeacher(subject.network, subject.title, subject.image_size, subject.statistics, final_norm=True).to(run.device)
    tokens_NDGG, maps_NSS = _seen(network, subject, folder, "train", run)
    mean_D = tokens_NDGG.mean(dim=(0, 2, 3))
    std_D = tokens_NDGG.std(dim=(0, 2, 3), correction=0).clamp_min(1e-6)
    layer = trained_layer((tokens_NDGG - mean_D.view(-1, 1, 1)) / std_D.view(-1, 1, 1), maps_NSS, len(folder.classes), config, run.device)
    matrix = torch.zeros(len(folder.classes), len(folder.classes), dtype=torch.int64)
    samples = folder.samples["validation"]
    for tokens_BDGG, truths in _batches(network, subject, folder, samples, run):
        standard_BDGG = (tokens_BDGG - mean_D.view(-1, 1, 1)) / std_D.view(-1, 1, 1)
        with torch.no_grad():
            logits_BCGG = layer(standard_BDGG.to(run.device)).cpu()
        for logits_CGG, truth_HW in zip(logits_BCGG, truths, strict=True):
            large = functional.interpolate(logits_CGG.unsqueeze(0), size=truth_HW.shape, mode="bilinear", align_corners=False)
            matrix += confusion(truth_HW, large[0].argmax(dim=0), len(folder.classes))
    found = scores(matrix)
    metrics = {"mIoU": (found.mean_iou, "%"), "mean accuracy": (found.mean_accuracy, "%"), "pixel accuracy": (found.accuracy, "%")}
    return findings("segmentation", metrics, len(samples))


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


def _seen(network: NetworkTeacher, subject: Subject, folder: MapsFolder, part: Part, run: Run) -> tuple[Tensor, Tensor]:
    """Tokens (N, D, G, G) and label maps (N, size, size) of a part."""
    tokens, maps = [], []
    for found_BDGG, truths in _batches(network, subject, folder, folder.samples[part], run):
        tokens.append(found_BDGG)
        square = (subject.image_size, subject.image_size)
        maps += [functional.interpolate(truth[None, None].float(), size=square, mode="nearest-exact")[0, 0].byte() for truth in truths]
    return torch.cat(tokens), torch.stack(maps)


def _batches(
    network: NetworkTeacher, subject: Subject, folder: MapsFolder, samples: Sequence[Sample], run: Run
) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Tokens (B, D, G, G) on the CPU, and the classes of the images' pixels at their own sizes."""
    whole, autocast = squashed(subject), autocast_type(run.precision)
    batches = [list(samples[start : start + run.batch]) for start in range(0, len(samples), run.batch)]
    pace, done = Pace(len(samples), run.progress_seconds, "looked at"), 0

    def read(sample: Sample) -> tuple[Tensor, Tensor]:
        image, truth = folder.pair(sample)
        return whole(image), truth

    for pairs in read_ahead(read, batches):
        crops = torch.stack([crop for crop, _ in pairs]).to(run.device)
        with torch.no_grad(), torch.autocast(run.device.type, dtype=autocast, enabled=autocast is not None):
            tokens_BND = network(crops.float() / 255).float().cpu()
        map_BDN = tokens_BND[:, int(network.has_class_token) :].transpose(1, 2)
        done += len(pairs)
        pace.show(done)
        yield map_BDN.unflatten(2, (network.grid, network.grid)), [truth for _, truth in pairs]
