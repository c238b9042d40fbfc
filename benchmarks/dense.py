"""Images a second of the dense tasks, in training and in inference: the detector of column det, the segmenter of column seg."""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import pages
from benchmarks.device import PEAK, PEAK_SIDE, PRODUCTS, alone, timed
from benchmarks.sides import Numbers, cores, disturbance, in_turns, median, ratio, started
from benchmarks.step import SIZES, architecture
from benchmarks.training import OneStep
from dbot.commands.rehearsal import Rehearsal
from dbot.data.objects.loading import Origin
from dbot.flops import detector, segmenter
from dbot.models.segmenter import Segmenter
from dbot.params.dense import Counts, Detect, Segment
from dbot.params.load import DEFAULT_FILE, load
from dbot.plan import Plan
from dbot.tasks.detect import evaluate_detection
from dbot.tasks.windows import label_image
from dbot.train.batches import lay_out
from dbot.train.distributed import Processes
from dbot.train.precision import autocast_type
from dbot.train.task import Step, Task
from tests.flops.counted import counted

ROW, RECIPE = "B-B", "asymmetric-B"
COLUMNS = {"detect": "det", "segment": "seg"}
DETECTED = 10
"""Proposals for each detection that is kept; the recipe has 1,000 and 100."""


def main() -> None:
    parser = pages.parser("dense", __doc__)
    parser.set_defaults(rounds=3)
    parser.add_argument("--tasks", nargs="+", choices=COLUMNS, default=list(COLUMNS), help="(default: both)")
    parser.add_argument("--size", choices=SIZES, default="S", help="of the encoder (default: S)")
    parser.add_argument("--side", type=int, default=224, help="of the square images, in pixels (default: 224)")
    parser.add_argument("--batch", type=int, default=2, help="images in a step (default: 2)")
    parser.add_argument("--proposals", type=int, default=64, help="of an image, that each stage of the detector looks at (default: 64)")
    parser.add_argument("--precisions", nargs="+", choices=["fp32", "bf16"], default=["fp32"], help="(default: fp32)")
    parser.add_argument("--steps", type=int, default=1, help="batches in one measurement (default: 1)")
    args = parser.parse_args()

    rows, ratios, disturbed = [], [], []
    for kind in args.tasks:
        common = {"kind": kind, "size": args.size, "side": args.side, "batch": args.batch, "proposals": args.proposals}
        found = _measured(args, common)
        disturbed.append(f"{kind.capitalize()}: {disturbance(found)}")
        for precision in args.precisions:
            peak = max(numbers["flops"] for numbers in found.pop(f"{PEAK}, {precision}"))
            work = {use: (one, forecast) for use, one, forecast in flops(**common, precision=precision)}
            for use in ("training", "training, plain", "inference"):
                numbers = found[f"{use}, {precision}"]
                one, forecast = work[use.partition(",")[0]]
                speed = median(numbers, "images_per_second")
                done = [f"{one / 1e9:,.1f}", f"{forecast / 1e9:,.1f}", f"{speed * one / 1e9:,.0f}", f"{speed * one / peak:.0%}"]
                rows.append([kind, precision, use, f"{speed:.3f}", *done, f"{median(numbers, 'memory_gb'):.2f}"])
            rows.append([kind, precision, PEAK, "", "", "", f"{peak / 1e9:,.0f}", "100%", ""])
            ratios.append(_over(found, kind, f"training, {precision}", f"training, plain, {precision}"))
        for precision in args.precisions[1:]:
            for use in ("training", "inference"):
                ratios.append(_over(found, kind, f"{use}, {precision}", f"{use}, {args.precisions[0]}"))
    header = [
        "task",
        "precision",
        "what",
        "images/s",
        "GFLOP an image",
        "by the forecast",
        "GFLOP/s",
        "of the peak (MFU)",
        "peak memory, GB",
    ]
    notes = (
        f"ViT-{args.size}, images of {args.side} px, {args.batch} in a step. Medians of {args.rounds} rounds of {args.steps} steps; the "
        "sides of a task take turns, each in a process of its own. GFLOP are the matrix products and convolutions that torch counts on "
        "these very images; beside them what `dbot forecast` says, which takes as many positive proposals as a recipe allows. The peak is "
        f"the fastest of {PRODUCTS * args.rounds} products, taken in turns with the steps, of two {PEAK_SIDE} x {PEAK_SIDE} matrices in "
        "the same precision; a detector computes all above its pyramid in float32 in any case. `plain` is `shortcuts: false`: AdamW step "
        f"by step. Recipes are the paper's but for the size of the images and, in the detector, {args.proposals} proposals in each stage "
        f"and {max(1, args.proposals // DETECTED)} detections of an image (the recipe has 512 in training, 1,000 and 100 in inference). "
        "Weights are random: no score is a reason to drop a detection, and few proposals are positive. Loading is left out; inference is "
        "image by image, as `dbot evaluate` does it, with what it makes of masks and label maps."
    )
    parts = [pages.table(header, rows), " ".join([notes, *disturbed]), "Images/s of one side over those of another, round by round:"]
    pages.write(args.output, "The dense tasks", [*parts, pages.table(["task", "side", "over", "median", "range"], ratios)])


def _measured(args: argparse.Namespace, common: dict[str, Any]) -> dict[str, list[Numbers]]:
    """Measurements of every side of a task, by use and precision."""
    sides: dict[str, tuple[str, dict[str, Any]]] = {}
    for precision in args.precisions:
        own = {**common, "precision": precision, "steps": args.steps, "threads": cores()}
        sides[f"training, {precision}"] = ("benchmarks.dense.training", own)
        sides[f"training, plain, {precision}"] = ("benchmarks.dense.training", {**own, "shortcuts": False})
        sides[f"inference, {precision}"] = ("benchmarks.dense.inference", own)
        sides[f"{PEAK}, {precision}"] = ("benchmarks.device.largest_product", {"precision": precision, "threads": cores()})
    with started(sides) as running:
        return in_turns(running, args.rounds)


def _over(found: dict[str, list[Numbers]], kind: str, side: str, other: str) -> list[str]:
    middle, least, most = ratio(found[side], found[other], "images_per_second")
    return [kind, side, other, f"{middle:.2f}", f"{least:.2f} to {most:.2f}"]


def training(*, steps: int, threads: int, batch: int, shortcuts: bool = True, **case: Any) -> Any:
    """A measurement of training steps."""
    group = alone(threads)
    task, drawn = begun(group, batch=batch, shortcuts=shortcuts, **case)
    step = OneStep(task, drawn, batch, group.device, rate=0.0)
    return lambda: timed(lambda: [step(number) for number in range(steps)], steps * batch)


def inference(*, steps: int, threads: int, batch: int, **case: Any) -> Any:
    """A measurement of inference, image by image."""
    group = alone(threads)
    task, (images, *_) = begun(group, batch=batch, **case)
    look = looking(task, list(images), group)
    return lambda: timed(lambda: [look() for _ in range(steps)], steps * batch)


def begun(
    group: Processes, *, kind: str, size: str, side: int, batch: int, proposals: int, precision: str, shortcuts: bool = True
) -> tuple[Task, Any]:
    """A task with random weights, and a batch of drawn images as its data set gives them."""
    resolved = load(DEFAULT_FILE, "paper")
    params, encoder = resolved.params, architecture(size)
    recipe = getattr(params.recipes, kind)[RECIPE]
    quarters = [max(0, encoder.depth * quarter // 4 - 1) for quarter in (1, 2, 3, 4)]
    taps = recipe.taps if max(recipe.taps) == encoder.depth - 1 else quarters
    changes = {"precision": precision, "shortcuts": shortcuts, "taps": taps}
    changed = (_small_detector if kind == "detect" else _small_segmenter)(recipe.model_copy(update=changes), side, proposals)
    recipes = params.recipes.model_copy(update={kind: {**getattr(params.recipes, kind), RECIPE: changed}})
    changes = {"recipes": recipes, "architectures": {**params.architectures, "B": encoder}}
    plan = Plan(replace(resolved, params=params.model_copy(update=changes)))
    with tempfile.TemporaryDirectory() as folder:
        task = Rehearsal(plan, Path(folder), group).task(plan.job(kind, row=ROW, seed="0"))
        samples = [task.images[0, number] for number in range(batch)]
    return task, (task.collate or torch.utils.data.default_collate)(samples)


def _small_detector(recipe: Detect, side: int, proposals: int) -> Detect:
    kept = Counts(training=recipe.proposals.kept.training, inference=proposals)
    view = {"short_side": side, "long_side": side, "score": 0.0, "detections": max(1, proposals // DETECTED)}
    crops = {"short_sides": [side], "long_side": side, "crop_probability": 0.0}
    changes = {
        "image_size": side,
        "proposals": recipe.proposals.model_copy(update={"kept": kept}),
        "cascade": recipe.cascade.model_copy(update={"samples": proposals}),
        "augmentation": recipe.augmentation.model_copy(update=crops),
        "inference": recipe.inference.model_copy(update=view),
    }
    return recipe.model_copy(update=changes)


def _small_segmenter(recipe: Segment, side: int, proposals: int) -> Segment:
    crops = {"long_side": side, "short_side": side, "crop": side}
    view = {"long_side": side, "short_side": side, "window": side, "stride": side}
    changes = {"augmentation": recipe.augmentation.model_copy(update=crops), "inference": recipe.inference.model_copy(update=view)}
    return recipe.model_copy(update=changes)


def looking(task: Task, images: list[torch.Tensor], group: Processes) -> Callable[[], Any]:
    """What `dbot evaluate` does with some images that are loaded."""
    model, recipe = task.model.to(group.device).eval(), task.recipe
    statistics = load(DEFAULT_FILE, "paper").params.normalisation
    if isinstance(recipe, Detect):
        views = [(image, Origin(number, *image.shape[1:], *image.shape[1:])) for number, image in enumerate(images)]
        categories = list(range(1, classes("detect") + 1))
        return lambda: evaluate_detection(model, recipe, views, statistics, categories, group)
    assert isinstance(model, Segmenter)
    autocast = autocast_type(recipe.precision)

    def label() -> None:
        for image in images:
            with torch.autocast(group.device.type, dtype=autocast, enabled=autocast is not None):
                label_image(model, image.to(group.device), image.shape[1:], recipe.inference, statistics, 1)

    return label


def flops(*, kind: str, size: str, side: int, batch: int, proposals: int, precision: str) -> list[tuple[str, float, float]]:
    """Use, FLOPs of an image as torch counts them, and as the forecast does."""
    group = replace(alone(cores()), device=torch.device("cpu"))
    task, drawn = begun(group, kind=kind, size=size, side=side, batch=batch, proposals=proposals, precision=precision)
    forecast = detector if kind == "detect" else segmenter
    here = (architecture(size), task.recipe, classes(kind), side, side)
    task.model.train()
    trained = counted(lambda: task.loss(task.model, drawn, Step(0, 0, lay_out(batch, batch, 1, 0))))
    look = looking(task, list(drawn[0]), group)
    looked = counted(look, backward=False)
    return [
        ("training", trained / batch, forecast(*here, training=True).training(precision).total),
        ("inference", looked / batch, forecast(*here, training=False).inference(precision).total),
    ]


def classes(kind: str) -> int:
    """Those of the data set of a task's column."""
    params = load(DEFAULT_FILE, "paper").params
    return int(params.datasets[getattr(params.uses, COLUMNS[kind])].classes or 10)


if __name__ == "__main__":
    main()
