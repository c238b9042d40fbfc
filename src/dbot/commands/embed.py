"""Turn a folder of images into an array of features, with any checkpoint of ours."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbot.tasks.embed import Features


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint",
        type=Path,
        metavar="CHECKPOINT",
        help="a student, a classifier or an imported file, .safetensors, or its job's receipt or folder",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="images, in it and below it")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="features and paths: .npz or .parquet")
    parser.add_argument(
        "--pool",
        choices=["average", "class_token"],
        help="mean of the patch tokens, or the class token (default: the classifier's own, else average)",
    )
    parser.add_argument("--batch", type=int, default=64, metavar="N", help="images in one forward pass (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    import os

    from dbot.base.errors import UserError
    from dbot.data.transforms import evaluation_transform
    from dbot.lineage.session import place
    from dbot.lineage.target import checkpoint_at
    from dbot.models import checkpoint
    from dbot.models.timm_form import as_timm, evaluation_resize, statistics_of
    from dbot.params.load import load
    from dbot.tasks.embed import embed
    from dbot.train.distributed import processes

    if args.output.suffix not in WRITERS:
        raise UserError(f"--output is {args.output}: its name must end in {' or '.join(WRITERS)}")
    if args.batch < 1:
        raise UserError(f"--batch is {args.batch}: must be at least 1")
    params = load(args.params, args.scale).params
    args.checkpoint, _ = checkpoint_at(args.checkpoint)
    weights, about = checkpoint.load(args.checkpoint)
    network, form = as_timm(weights, about, str(args.checkpoint))
    pooling = args.pool or about.get("pooling", "average")
    transform = evaluation_transform(form.image_size, evaluation_resize(form.image_size))
    statistics = statistics_of(about, params.normalisation)
    with processes(params.execution.device, os.cpu_count() or 1) as alone:
        network.to(alone.device)
        every = params.execution.progress_every_seconds
        features = embed(network, pooling, args.folder, transform, statistics, alone.device, args.batch, every)
    part = args.output.with_name(f".{args.output.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[args.output.suffix](features, part)
    place(part, args.output)
    for line in features.unreadable:
        print(f"left out: {line}")
    left = f"; {len(features.unreadable)} left out" if features.unreadable else ""
    count, width = features.values.shape
    print(f"wrote {args.output}: features of {count} images, {width} wide, pooled by {pooling}{left}")


def _npz(features: "Features", path: Path) -> None:
    import numpy

    with path.open("wb") as stream:
        numpy.savez(stream, features=features.values.numpy(), paths=numpy.array(features.paths))


def _parquet(features: "Features", path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    values = pyarrow.FixedSizeListArray.from_arrays(features.values.numpy().reshape(-1), features.values.shape[1])
    parquet.write_table(pyarrow.table({"path": features.paths, "features": values}), path)


WRITERS = {".npz": _npz, ".parquet": _parquet}
"""By ending of the output's name, what writes it."""
