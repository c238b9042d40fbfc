"""Measure any network on any data set, without a plan: how good it is, how robust, what its features hold, what it costs.

CHECKPOINT is a checkpoint of ours, a file of a published layout (dBOT, MAE, DINO, DeiT, BEiT, CLIP, timm), a folder in the form of
timm's hub, a network that timm knows by name (its weights: --weights), or a teacher of params.yaml. FOLDER is a data set in any layout
that `dbot prepare` reads, or holds a folder for each class; docs/measuring.md says what each measure is and what it needs.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbot.models.subject import Subject
    from dbot.params.document import Params
    from dbot.tasks.measuring.findings import Finding, Run

MARKER = ".dbot-measure"
SETS = ("imagenet-v2", "imagenet-real", "imagenet-a", "imagenet-r", "imagenet-sketch", "imagenet-c")
PROBES = ("knn", "linear", "fewshot")
MEASURES = ("cls", *PROBES, "segmentation", "robustness", *SETS, "cost")
FIELDS = ("measure", "part", "metric", "value", "unit", "images")
"""Of a finding, as tables have them."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a file, a folder of timm's hub, a name in timm, or a declared teacher")
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="labelled images, or a data set of params.yaml by name (cost needs none)"
    )
    parser.add_argument(
        "--as",
        dest="measures",
        nargs="+",
        choices=MEASURES,
        default=["cls"],
        metavar="MEASURE",
        help=f"what to measure: {', '.join(MEASURES)}; robustness finds out which of the imagenet sets FOLDER is (default: cls)",
    )
    parser.add_argument("--weights", metavar="FILE", help="of a network of timm: hub, random or a file (default: hub)")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="gets measured.csv and measured.json")
    parser.add_argument("--subset", action="store_true", help="look only at the outputs that stand for classes of the data (cls)")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="ReaL labels, real.json (default: the copy that timm has)")
    parser.add_argument("--pool", choices=["average", "class_token"], help="features of a ViT (default: as the network itself pools)")
    parser.add_argument("--image-size", type=int, metavar="N", help="side of the images in pixels (default: the network's)")
    for flag, what in (("--mean", "mean of the pixels, 0 to 1, with which it was trained"), ("--std", "their standard deviation")):
        parser.add_argument(flag, type=float, nargs=3, metavar=("R", "G", "B"), help=f"{what} (default: the network's)")
    parser.add_argument("--crop-pct", type=float, metavar="P", help="the crop's side over the resized short side (default: the network's)")
    parser.add_argument("--interpolation", choices=["bicubic", "bilinear"], help="of resizing (default: the network's)")
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp32", help="of the network (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=64, metavar="N", help="images in one forward pass (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="how long throughput is measured (default: %(default)g)")


def run(args: argparse.Namespace) -> None:
    import os
    from contextlib import nullcontext

    from dbot.base.files import whole_folder
    from dbot.lineage.target import checkpoint_at
    from dbot.models.subject import Wanted, subject_of
    from dbot.params.load import load
    from dbot.plan import RECEIPT
    from dbot.tasks.measuring.findings import Run
    from dbot.train.distributed import processes

    _check(args)
    params = load(args.params, args.scale).params
    wanted = Wanted(args.image_size, args.mean, args.std, args.crop_pct, args.interpolation)
    named = Path(args.checkpoint)
    if named.suffix == ".json" or (named / RECEIPT).is_file():
        args.checkpoint = str(checkpoint_at(named)[0])
    subject = subject_of(args.checkpoint, args.weights, wanted, params.teachers, params.normalisation, print)
    print(f"{subject.title}: images as {_prepared(subject)}")
    with (
        processes(params.execution.device, os.cpu_count() or 1) as alone,
        whole_folder(args.output, MARKER) if args.output is not None else nullcontext() as folder,
    ):
        subject.network.to(alone.device)
        how = Run(alone, args.batch, args.precision, params.execution.progress_every_seconds)
        found, more = _measure(args, subject, params, how)
        print(table(found))
        if folder is not None:
            _write(folder, args, subject, found, {**more, "device": alone.device_name})
    if args.output is not None:
        print(f"wrote {args.output / 'measured.csv'} and {args.output / 'measured.json'}: {len(found)} findings")


def _check(args: argparse.Namespace) -> None:
    """Raises a UserError for what is wrong with the command line."""
    from dbot.base.errors import UserError

    for flag, value, least in (("--batch", args.batch, 1), ("--image-size", args.image_size, 1), ("--seconds", args.seconds, 0)):
        if value is not None and value < least:
            raise UserError(f"{flag} is {value:g}: must be at least {least}")
    if args.crop_pct is not None and not 0 < args.crop_pct <= 1:
        raise UserError(f"--crop-pct is {args.crop_pct:g}: must be above 0 and at most 1")
    if args.std is not None and min(args.std) <= 0:
        raise UserError(f"--std is {' '.join(f'{value:g}' for value in args.std)}: must be above 0")
    needing = [measure for measure in args.measures if measure != "cost"]
    if needing and args.data is None:
        raise UserError(f"--data is missing: --as {needing[0]} measures on images; name their folder")
    for flag, value, users in (
        ("--subset", args.subset, ("cls",)),
        ("--labels", args.labels, ("imagenet-real",)),
        ("--pool", args.pool, PROBES),
    ):
        if value and not set(users) & set(args.measures):
            raise UserError(f"{flag} is given, and only --as {' or '.join(users)} uses it; leave it out")


def _measure(args: argparse.Namespace, subject: "Subject", params: "Params", how: "Run") -> tuple[list["Finding"], dict[str, Any]]:
    """All that is asked for, in the order of `MEASURES`, and what else belongs in the JSON."""
    from dbot.data.at_hand import labelled_folder, maps_folder
    from dbot.measure.robustness import recognised
    from dbot.tasks.measuring.classification import on_set, on_validation
    from dbot.tasks.measuring.cost import cost
    from dbot.tasks.measuring.frozen import both_parts, describer, few_shot, linear, nearest
    from dbot.tasks.measuring.segmentation import segmentation

    found: list[Finding] = []
    more: dict[str, Any] = {}
    declared = None if args.data is None or args.data.exists() else params.datasets.get(str(args.data))
    if declared is not None:
        args.data = Path(declared.root or args.data)
    asked = [measure for measure in MEASURES if measure in args.measures]
    probes = [measure for measure in asked if measure in PROBES]
    if "cls" in asked or probes:
        seen = describer(subject, args.pool) if probes else None
        if "cls" in asked:
            subject.require_head("cls")
        folder = labelled_folder(args.data, declared)
        for line in folder.left_out:
            print(line)
        counts = ", ".join(f"{len(images):,} {part}" for part, images in folder.parts.items())
        print(f"{args.data}: {counts} images of {len(folder.classes):,} classes (layout {folder.layout})")
        more["data"] = {"folder": str(args.data), "layout": folder.layout, "classes": len(folder.classes)}
        if "cls" in asked:
            one, scores = on_validation(subject, folder, how, args.subset, print)
            found += one
            more["reliability"] = dict(zip(("images", "confidence", "right"), scores.reliability_3B.tolist(), strict=True))
        if seen is not None:
            train, validation = both_parts(seen, folder, how)
            classes, config = len(folder.classes), params.probes
            if "knn" in probes:
                found += nearest(train, validation, classes, config.knn, how)
            if "linear" in probes:
                found += linear(train, validation, classes, config.linear, how)
            if "fewshot" in probes:
                found += few_shot(train, validation, classes, params.few_shot, config.linear, how)
    for name in dict.fromkeys(recognised(args.data) if measure == "robustness" else measure for measure in asked):
        if name in SETS:
            print(f"{args.data}: measured as {name}")
            found += on_set(name, subject, args.data, how, args.labels, print)
    if "segmentation" in asked:
        found += segmentation(subject, maps_folder(args.data, declared), params.linear_segmentation, how)
    if "cost" in asked:
        found += cost(subject, how, args.seconds)
    return found, more


def _prepared(subject: "Subject") -> str:
    """How images are prepared, in words."""
    said, statistics = subject.prepared, subject.statistics
    mean, std = (" ".join(f"{value:.3f}" for value in each) for each in (statistics.mean, statistics.std))
    crop = f"{said['crop_mode']} crop of {subject.image_size} px, crop_pct {said['crop_pct']:.3f}"
    return f"{crop}, {said['interpolation']}, mean {mean}, std {std}"


def table(found: list["Finding"]) -> str:
    """The findings, a line each."""
    rows = [("measure", "of", "metric", "value", "unit", "images")]
    rows += [(one.measure, one.part, one.metric, _number(one), one.unit, "" if one.images is None else f"{one.images:,}") for one in found]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    right = (3, 5)
    lines = [
        [cell.rjust(width) if n in right else cell.ljust(width) for n, (cell, width) in enumerate(zip(row, widths, strict=True))]
        for row in rows
    ]
    return "\n".join("  ".join(line).rstrip() for line in lines)


def _number(one: "Finding") -> str:
    return f"{one.value:.2f}" if one.unit in ("%", "points") else f"{one.value:.4g}"


def _write(folder: Path, args: argparse.Namespace, subject: "Subject", found: list["Finding"], more: dict[str, Any]) -> None:
    import csv
    import json
    from dataclasses import asdict

    from dbot import __version__
    from dbot.base.digest import file_digest

    with (folder / "measured.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["checkpoint", "data", *FIELDS])
        for one in found:
            writer.writerow(
                [args.checkpoint, args.data or "", *("" if (value := getattr(one, name)) is None else value for name in FIELDS)]
            )
    content = {
        "dbot": __version__,
        "checkpoint": args.checkpoint,
        "files": [{"path": str(path), "sha256": file_digest(path)} for path in subject.files],
        "weights": args.weights,
        "images": {**subject.prepared, "mean": subject.statistics.mean, "std": subject.statistics.std},
        "precision": args.precision,
        **more,
        "findings": [asdict(one) for one in found],
    }
    (folder / "measured.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
