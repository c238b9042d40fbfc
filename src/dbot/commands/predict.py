"""What a detector or a segmenter finds on any folder of images: a COCO file or label maps, and pictures.

detections.json is a COCO file of which every annotation has a score; its `annotations` alone are
COCO results. Label maps are PNG with one channel, classes from 1 on; classes.txt names them.
"""

import argparse
from pathlib import Path
from typing import Any

MARKER = ".dbot-predict"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="images, in it and below it")
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FILE", help="a detector or a segmenter, .safetensors")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="gets pictures/, and detections.json or maps/ with classes.txt"
    )
    parser.add_argument(
        "--score", type=float, default=0.3, metavar="S", help="draw what a detector finds with at least this score (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> None:
    import os

    from dbot.base.files import whole_folder
    from dbot.lineage.target import checkpoint_at
    from dbot.models import checkpoint
    from dbot.models.timm_form import statistics_of
    from dbot.params.load import load
    from dbot.tasks.predict.folder import ImageFolder
    from dbot.train.distributed import processes

    _check(args)
    params = load(args.params, args.scale).params
    args.checkpoint, _ = checkpoint_at(args.checkpoint)
    weights, about = checkpoint.load(args.checkpoint)
    _check_kind(about, args.checkpoint)
    statistics = statistics_of(about, params.normalisation)
    images = ImageFolder(args.folder, params.execution.progress_every_seconds)
    with processes(params.execution.device, os.cpu_count() or 1) as alone, whole_folder(args.output, MARKER) as output:
        if about["kind"] == "detector":
            from dbot.tasks.detect import detector_of
            from dbot.tasks.predict.objects import FILE, predict_objects

            detector, detect = detector_of(weights, about, str(args.checkpoint))
            named = (about["classes"], about["category_ids"])
            detector.to(alone.device)
            count = predict_objects(detector, detect, *named, images, statistics, alone.device, args.score, output)
            wrote = f"{args.output / FILE}: {count} objects"
        else:
            from dbot.tasks.predict.maps import predict_maps
            from dbot.tasks.segment import segmenter_of

            segmenter, segment = segmenter_of(weights, about, str(args.checkpoint))
            segmenter.to(alone.device)
            count = predict_maps(segmenter, segment, about["classes"], images, statistics, alone.device, output)
            wrote = f"{args.output / 'maps'}: {count} label maps"
    for line in images.unreadable:
        print(f"left out: {line}")
    left = f"; {len(images.unreadable)} left out" if images.unreadable else ""
    seen = len(images.names) - len(images.unreadable)
    print(f"wrote {wrote} of {seen} images{left}; pictures in {args.output / 'pictures'}")


def _check(args: argparse.Namespace) -> None:
    """Raises a UserError for what is wrong with the command line."""
    from dbot.base.errors import UserError

    if not 0 <= args.score <= 1:
        raise UserError(f"--score is {args.score:g}: must be from 0 to 1")
    folder, output = args.folder.resolve(), args.output.resolve()
    if output.is_relative_to(folder) or folder.is_relative_to(output):
        raise UserError(f"--output is {args.output}: must lie neither in nor above the folder of the images, {args.folder}; name another")


def _check_kind(about: dict[str, Any], path: Path) -> None:
    """Raises a UserError for a checkpoint that finds nothing on images."""
    from dbot.base.errors import UserError

    kind = about.get("kind")
    if kind in ("student", "encoder"):
        raise UserError(f"{path}: is a {kind}, which has no heads; train it with `dbot detect` or `dbot segment`, and name what they write")
    if kind not in ("detector", "segmenter"):
        raise UserError(f"{path}: is a checkpoint of kind {kind}; name a detector's (from `dbot detect`) or a segmenter's (`dbot segment`)")
