"""Measurements of the paper's scale on a fake GPU: the jobs' own functions, on batches that no file was read for."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from dbot.data.labelled import LabelledPixels
from dbot.data.manifest import Manifest
from dbot.data.objects.loading import Origin
from dbot.distill.boundary import Promoted
from dbot.distill.designs import DESIGNS
from dbot.jobs.detect import DETECT
from dbot.jobs.segment import SEGMENT
from dbot.measure import linear
from dbot.measure.analysis import analyse_network
from dbot.measure.cka import compare_networks
from dbot.measure.knn import LabelledFeatures, knn
from dbot.models.teachers.teacher import Teacher
from dbot.params.document import Params
from dbot.plan import Plan
from dbot.tasks.classify import classifier_for, evaluate
from dbot.tasks.detect import evaluate_detection, new_detector
from dbot.tasks.features import by_teacher, features
from dbot.tasks.network import student_network
from dbot.tasks.segment import evaluate_segmentation, new_segmenter
from tests.gpu_rehearsal.machine import GPU, Machine, Undrawn, fake_gpu
from tests.gpu_rehearsal.pretended import replaced
from tests.gpu_rehearsal.trainings import ALONE, Seen, evenly
from tests.gpu_rehearsal.watch import Answer, Share

IMAGENET_TRAIN, IMAGENET_VALIDATION = 1_281_167, 50_000
CLASSES, CATEGORIES, LABELS = 1000, 80, 150
"""Of ImageNet-1K, COCO and ADE20K."""
BATCHES = 2
ANSWERS: dict[str, Answer] = {**dict.fromkeys(("evaluate", "analyse_network", "compare_networks"), 1.0), "Pooler._by_level": evenly}
SHARES: dict[str, Share] = {"_batched_nms_vanilla": lambda count: count // CATEGORIES}

NOTHING = cast(Manifest, SimpleNamespace(classes=["a class"] * LABELS, root="nowhere"))
"""Stands for a manifest of which nothing is read."""


@contextmanager
def _measured(seen: Seen, names: dict[str, Callable[..., object]]) -> Iterator[Machine]:
    """A measurement on the fake GPU, with others in the place of what reads files or needs values."""
    with fake_gpu(ANSWERS, SHARES) as machine, ExitStack() as stack:
        replaced(stack, names)
        yield machine
        watch = machine.watch
        seen.waits, seen.doubles, seen.peak = Counter(watch.waits), Counter(watch.doubles), watch.peak


def _built(make: Callable[[], nn.Module]) -> Any:
    with Undrawn():
        return make().eval()


def classification(plan: Plan, row: str) -> Seen:
    """`dbot evaluate` of a classifier."""
    seen, params, declared = Seen(), plan.params, plan.params.rows[row]
    architecture, recipe = params.architectures[declared.architecture], params.recipes.finetune[declared.recipe]
    size, batch = recipe.image_size or architecture.image_size, _batch(plan, "evaluate", row=row, column="cls", seed="0")
    images = [(torch.zeros(batch, 3, size, size, dtype=torch.uint8), torch.zeros(batch, dtype=torch.int64))] * BATCHES
    reading = {"dbot.tasks.classify.ValidationImages": lambda *args: None, "dbot.train.loading.DataLoader": lambda *args, **more: images}
    with _measured(seen, reading) as machine:
        network = _built(lambda: classifier_for(architecture, recipe, CLASSES, None)).to(GPU)
        with machine.computing():
            evaluate(network, 1.0, size, recipe.precision, NOTHING, params.normalisation, ALONE, batch)
    return seen


def detection(plan: Plan, row: str) -> Seen:
    """`dbot evaluate` of a detector, on one image of each orientation."""
    seen, params = Seen(), plan.params
    recipe, architecture = DETECT.recipe(params, row), params.architectures[params.rows[row].architecture]
    short, long = recipe.inference.short_side, recipe.inference.long_side
    views = [(torch.zeros(3, *sides, dtype=torch.uint8), Origin(0, *sides, *sides)) for sides in ((short, long), (long, short))]
    others = {"dbot.tasks.detect.coco_results": lambda found, *args: [], "dbot.train.loading.DataLoader": lambda *args, **more: views}
    with _measured(seen, others) as machine:
        network = _built(lambda: new_detector(architecture, recipe, CATEGORIES)).to(GPU)
        with machine.computing():
            evaluate_detection(network, recipe, cast(Any, views), params.normalisation, range(CATEGORIES), ALONE)
    return seen


def segmentation(plan: Plan, row: str) -> Seen:
    """`dbot evaluate` of a segmenter, on a wide image."""
    seen, params = Seen(), plan.params
    recipe, architecture = SEGMENT.recipe(params, row), params.architectures[params.rows[row].architecture]
    sides = (recipe.inference.short_side, recipe.inference.long_side)
    pairs = [(torch.zeros(3, *sides, dtype=torch.uint8), torch.zeros(sides, dtype=torch.uint8))] * BATCHES
    others = {
        "dbot.tasks.segment.ValidationPairs": lambda *args: None,
        "dbot.train.loading.DataLoader": lambda *args, **more: pairs,
        "dbot.tasks.segment.scores": lambda matrix: None,
    }
    batch = _batch(plan, "evaluate", row=row, column="seg", seed="0")
    with _measured(seen, others) as machine:
        network = _built(lambda: new_segmenter(architecture, recipe, LABELS)).to(GPU)
        with machine.computing():
            evaluate_segmentation(network, recipe, NOTHING, params.normalisation, ALONE, batch)
    return seen


def probing(plan: Plan, row: str) -> Seen:
    """`dbot probe` of a student: features, nearest neighbours, and what the linear classifier's solver asks for at every step."""
    seen, probes = Seen(), plan.params.probes
    batch, size = _batch(plan, "probe", row=row, stage="1"), _student(plan.params, row).image_size
    images = cast(LabelledPixels, _Counted(BATCHES * batch))
    reading = {"dbot.tasks.features.read_ahead": _crops(size)}
    with _measured(seen, reading) as machine:
        network = _built(lambda: _student(plan.params, row)).to(GPU)
        describer = by_teacher(network, probes.pooling)
        with machine.computing():
            features(describer, images, probes.evaluation_resize, probes.precision, ALONE, batch)
            train, validation = _features(IMAGENET_TRAIN, network.width), _features(IMAGENET_VALIDATION, network.width)
            with ExitStack() as stack:
                replaced(stack, {"dbot.measure.knn.LabelledFeatures.__len__": lambda found: 1})
                knn(train, validation, probes.knn.k, probes.knn.temperature, CLASSES, ALONE)
            rows_ND, labels_N = linear._share(train, np.arange(IMAGENET_TRAIN), ALONE)
            standardise = linear.Standardisation.of(rows_ND, IMAGENET_TRAIN, ALONE)
            weight_CD, bias_C = (torch.zeros(shape, dtype=torch.float64, device=GPU) for shape in ((CLASSES, network.width), (CLASSES,)))
            linear._sums(standardise(rows_ND), labels_N, weight_CD, bias_C)
            classifier = linear.LinearClassifier(standardise, weight_CD, bias_C, True)
            linear.accuracy(classifier, validation, np.arange(IMAGENET_VALIDATION), ALONE)
    return seen


def analysis(plan: Plan, row: str) -> Seen:
    """`dbot analyse` of a student: attention distance and singular values."""
    seen, config = Seen(), plan.params.analysis
    batch = _batch(plan, "analyse", row=row, stage="1")
    with _measured(seen, {"dbot.measure.analysis._grid": lambda values: ()}) as machine:
        network = _built(lambda: _student(plan.params, row))
        images = [torch.zeros(batch, 3, network.image_size, network.image_size)] * BATCHES
        with machine.computing():
            analyse_network(network, images, GPU, ALONE.sum, config.renormalise, config.top)
    return seen


def comparison(plan: Plan, row: str, other: str) -> Seen:
    """`dbot compare` of two students."""
    seen, batch = Seen(), _batch(plan, "compare", row=row, other=other)
    with _measured(seen, {"dbot.measure.cka.Similarity": lambda rows: None}) as machine:
        first, second = (_built(lambda name=name: _student(plan.params, name)) for name in (row, other))
        images = [torch.zeros(batch, 3, first.image_size, first.image_size)] * BATCHES
        with machine.computing():
            compare_networks(first, second, images, GPU, ALONE.sum)
    return seen


def _batch(plan: Plan, verb: str, **key: str) -> int:
    return plan.resources(plan.job(verb, **key)).batch_per_process or 1


def _student(params: Params, row: str) -> Teacher:
    """A row's student as it is measured."""
    architecture, recipe = params.architectures[params.rows[row].architecture], params.recipes.pretrain[params.rows[row].recipe].of_stage(1)
    with Undrawn():
        made = DESIGNS[recipe.design].student(architecture, recipe, architecture.width)
        return student_network(Promoted(made.state_dict(), architecture, recipe.design, same_row=False), row, params.normalisation)


class _Counted:
    """Images of which only the number is known."""

    def __init__(self, count: int) -> None:
        self.labels = np.zeros(count, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.labels)


def _crops(size: int) -> Callable[..., Iterator[list[Tensor]]]:
    """Crops as they are read ahead, batch by batch."""

    def read(load: object, batches: list[list[int]]) -> Iterator[list[Tensor]]:
        for numbers in batches:
            yield [torch.zeros(3, size, size, dtype=torch.uint8)] * len(numbers)

    return read


def _features(count: int, width: int) -> LabelledFeatures:
    return LabelledFeatures(torch.zeros(count, width), torch.zeros(count, dtype=torch.int64))
