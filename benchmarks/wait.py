"""The share of a training step that waits for images: a short distillation from full-size JPEGs and from prepared copies."""

import tempfile
from pathlib import Path
from typing import Any

from benchmarks import pages
from benchmarks.device import alone
from benchmarks.loader import _image_folder, _prepare
from benchmarks.sides import Numbers, cores, disturbance, in_turns, median, started
from benchmarks.step import RANDOM, SIZES, architecture, narrow
from dbot.data import labelled
from dbot.data.manifest import read_manifest
from dbot.distill.boundary import begin_stage
from dbot.params.load import DEFAULT_FILE, load
from dbot.tasks.pretrain import pretrain_task
from dbot.tasks.throughput import throughput

KINDS: dict[str, dict[str, Any]] = {"full-size JPEGs": {}, "short side 256": {"short_side": 256}}


def main() -> None:
    parser = pages.parser("wait", __doc__)
    parser.set_defaults(rounds=3)
    parser.add_argument("--images", type=Path, metavar="FOLDER", required=True, help="a folder of JPEG photographs, at any depth")
    parser.add_argument("--count", type=int, default=200, help="images of it that are used (default: 200)")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["S"], help="of the student and its teacher (default: S)")
    parser.add_argument("--batch", type=int, default=4, help="images in a step (default: 4)")
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp32", help="(default: fp32)")
    parser.add_argument("--workers", nargs="+", type=int, default=[0, 1], help="loader processes (default: 0 1)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of one measurement, at least (default: 5)")
    args = parser.parse_args()

    sides: dict[str, tuple[str, dict[str, Any]]] = {}
    cases = [(size, kind, workers) for size in args.sizes for kind in KINDS for workers in args.workers]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count, _ = _image_folder(args, folder / "photographs")
        for kind, settings in KINDS.items():
            _prepare(folder / "photographs", folder / kind, **settings)
        for size, kind, workers in cases:
            own = {"prepared": folder / kind, "size": size, "batch": args.batch, "workers": workers}
            own |= {"precision": args.precision, "seconds": args.seconds, "threads": cores()}
            sides[f"{size} {kind} {workers}"] = ("benchmarks.wait.distillation", own)
        with started(sides) as running:
            found = in_turns(running, args.rounds)
    rows = []
    for size, kind, workers in cases:
        numbers = found[f"{size} {kind} {workers}"]
        shares = [one["data_wait"] for one in numbers]
        speed = f"{median(numbers, 'images_per_second'):.1f}"
        rows.append([f"ViT-{size}", kind, workers, speed, f"{median(numbers, 'data_wait'):.1%}", f"{min(shares):.1%} to {max(shares):.1%}"])
    notes = (
        f"Medians of {args.rounds} rounds of {args.seconds:g} s or more, in turns, each side in a process of its own; {count} photographs "
        f"in the page cache, read anew each time; batch {args.batch}, {args.precision}. The share is what the training loop prints as "
        "`data wait`. Without a GPU, loader and training share the cores: a worker's images are waited for less and slow the step down "
        "instead."
    )
    header = ["model", "images", "workers", "images/s", "data wait", "range"]
    pages.write(args.output, "Waiting for data", [pages.table(header, rows), f"{notes} {disturbance(found)}"])


def distillation(prepared: Path, size: str, batch: int, workers: int, precision: str, seconds: float, threads: int) -> Any:
    """A measurement of some steps of the training loop on prepared photographs."""
    labelled.FITS_IN_MEMORY = 0
    group, params = alone(threads), load(DEFAULT_FILE, "paper").params
    changes = {"precision": precision, "batch_size": batch, **narrow(size)}
    recipe = params.recipes.pretrain["asymmetric-B"].model_copy(update=changes)
    execution = params.execution.model_copy(update={"workers": workers})
    student, teacher = begin_stage(architecture(size), recipe, 1, RANDOM, params.normalisation)
    task = pretrain_task("distill", student, teacher.to(group.device), recipe, 1, read_manifest(prepared), params.normalisation)

    def measure() -> Numbers:
        found = throughput(task, group, execution, batch, seconds)
        return {"images_per_second": found.images_per_second, "data_wait": found.data_wait}

    return measure


if __name__ == "__main__":
    main()
