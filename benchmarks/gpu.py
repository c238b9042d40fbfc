"""The few minutes in which a GPU is at hand: what only a GPU can tell, most valuable first, a page as soon as each is known.

Needs torch, torchvision, timm, safetensors and numpy on the machine; what else is missing is taken from a folder of wheels
(`make gpu-wheels` fills one). Cut off at any moment and started again, it goes on with the parts that have no page yet.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.sides import cores

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Part:
    """One program and its page."""

    name: str
    question: str
    module: str
    arguments: tuple[str, ...]
    seconds: int
    """It is not begun with less time left than this: what it took at most where it was tried, or what is allowed for it."""


def parts(sizes: Sequence[str], batch: str, precision: str, reference: Path | None, images: Path | None) -> list[Part]:
    """All parts in the order of their worth: whether it is right, how fast two sizes of the table are, then the rest."""
    published = ("--reference", str(reference)) if reference is not None else ()
    quick = ("--rounds", "2", "--batches", batch, "--precisions", precision)
    steps = ("--steps", "4" if precision != "fp32" else "1")
    kind, workers = ("--precision", precision), ("--workers", str(min(16, cores())))
    first, *others = sizes

    def step(size: str) -> Part:
        return Part(f"step-{size}", "how fast is a step?", "benchmarks.step", ("--sizes", size, *quick, *steps, *published), 60)

    found = [
        Part("tests", "do the tests that need a GPU pass?", "benchmarks.gpu_tests", (), 30),
        step(first),
        Part("determinism", "are two runs, or a resumed one, the same bits?", "benchmarks.determinism", ("--size", first, *kind), 40),
        *map(step, others[:1]),
    ]
    same = ("--rounds", "2", "--batch", batch)
    found.append(Part("forecast", "is the forecast right?", "benchmarks.forecast", ("--sizes", first, *same, *steps, *kind), 60))
    compiled = ("--sizes", first, *quick, *steps, "--compile", "on")
    found.append(Part(f"compiled-{first}", "what does torch.compile add?", "benchmarks.step", compiled, 90))
    found.append(Part("fp8", "what would a teacher in 8 bits gain?", "benchmarks.fp8", ("--sizes", first, *same), 90))
    if images is not None:
        fed = ("--images", str(images), "--sizes", first, "--batch", batch, *kind, *workers)
        found.append(Part("wait", "does the loader keep up?", "benchmarks.wait", fed, 60))
    found.append(Part("profile", "where does a step's time go?", "benchmarks.profile", ("--size", first, *same, *kind), 60))
    found += map(step, others[1:])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--minutes", type=float, default=8, help="how long all of it may take (default: 8)")
    parser.add_argument("--sizes", nargs="+", default=["B", "L", "H"], help="of the students, the most important first (default: B L H)")
    parser.add_argument("--batch", default="128", help="images in a step (default: 128)")
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="bf16", help="(default: bf16)")
    parser.add_argument("--reference", type=Path, metavar="FOLDER", help="a checkout of the published repository, to measure against")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="photographs, to measure whether the loader keeps up")
    parser.add_argument("--wheels", type=Path, metavar="FOLDER", help="wheels of packages that this machine lacks")
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="FOLDER", help="where the pages go (default: benchmarks/results)")
    parser.add_argument("--again", action="store_true", help="also the parts that have a page")
    parser.add_argument("--cpu", action="store_true", help="try it without a GPU")
    args = parser.parse_args()
    end = time.monotonic() + 60 * args.minutes
    import torch

    if not torch.cuda.is_available() and not args.cpu:
        print("benchmarks.gpu: torch sees no GPU here; run it where there is one, or try it with --cpu", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as unpacked:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["src", ".", *unpack(args.wheels, Path(unpacked))])}
        failed = 0
        for part in parts(args.sizes, args.batch, args.precision, args.reference, args.images):
            page = args.output / f"gpu-{part.name}.md"
            left = end - time.monotonic()
            if page.exists() and not args.again:
                print(f"{part.name}: has a page, {page}", flush=True)
            elif left < part.seconds:
                print(f"{part.name}: not begun, {left:.0f} s are left and it may take {part.seconds}; start again for it", flush=True)
            else:
                print(f"{part.name}: {part.question}", flush=True)
                failed += not _done(part, page, left, environment)
    return min(1, failed)


def _done(part: Part, page: Path, seconds: float, environment: dict[str, str]) -> bool:
    """Run a part in a process of its own; its page appears whole, or not at all."""
    page.parent.mkdir(parents=True, exist_ok=True)
    unfinished = page.with_suffix(".part")
    command = [sys.executable, "-m", part.module, *part.arguments, "--output", str(unfinished)]
    begun = time.monotonic()
    try:
        status = subprocess.run(command, env=environment, timeout=seconds, check=False).returncode
    except subprocess.TimeoutExpired:
        status = -1
    print(
        f"{part.name}: {'done' if status == 0 else 'failed' if status > 0 else 'out of time'} after {time.monotonic() - begun:.0f} s",
        flush=True,
    )
    if unfinished.exists():
        if status == 0:
            unfinished.replace(page)
        else:
            unfinished.unlink()
    return status == 0


def unpack(wheels: Path | None, folder: Path) -> list[str]:
    """Folders to put on Python's path for the wheels of packages that are not installed here."""
    found = []
    for wheel in sorted(wheels.glob("*.whl")) if wheels is not None else []:
        with zipfile.ZipFile(wheel) as archive:
            tops = {name.split("/")[0].removesuffix(".py") for name in archive.namelist() if ".dist-info/" not in name}
            if any(importlib.util.find_spec(top) is None for top in tops if top.isidentifier()):
                place = folder / wheel.stem
                archive.extractall(place)
                found.append(str(place))
    return found


if __name__ == "__main__":
    sys.exit(main())
