"""How costs grow: with images, with rows of the table, with processes; and memory from epoch to epoch."""

import argparse
import atexit
import contextlib
import io
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks import pages
from benchmarks.device import alone
from benchmarks.growth import growth, is_flat
from benchmarks.sides import OTHERS, Numbers, disturbance, in_turns, median, ratio, started
from benchmarks.workflow import PROJECT
from dbot.data.embedded.draw import draw
from dbot.data.manifest import Manifest
from dbot.data.prepare import prepare
from dbot.distill.boundary import begin_stage
from dbot.lineage.executions import execution_of
from dbot.lineage.judge import Judge
from dbot.lineage.receipt import read
from dbot.lineage.verify import verify
from dbot.params.datasets import Dataset
from dbot.params.document import INCLUDE, Params, read_parts
from dbot.params.load import DEFAULT_FILE, load
from dbot.plan import Plan
from dbot.tasks.classify import classifier_for, evaluate
from dbot.tasks.pretrain import pretrain_task
from dbot.train.distributed import Processes
from dbot.train.loop import train
from dbot.train.state import StateStore
from dbot.train.task import Metrics, Task
from dbot.versioning.dvc_yaml import project_text
from tests.fakes import FakeProject

DATA, ROW = "digits", "B-B"
SIZED = {"width": 256, "heads": 4}
"""What the network that several processes train has other than the demo's: it computes more than they talk."""
SHARED_BATCH = 64
UNTIMED = 1
"""Epochs before those whose speed counts."""


def main() -> None:
    parser = pages.parser("scaling", __doc__)
    parser.set_defaults(rounds=3)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="(default: all)")
    parser.add_argument("--images", nargs="+", type=int, default=[256, 512, 1024, 2048], help="(default: 256 512 1024 2048)")
    parser.add_argument("--rows", nargs="+", type=int, default=[4, 8, 16, 32], help="(default: 4 8 16 32)")
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2], help="(default: 1 2)")
    parser.add_argument("--shared-images", type=int, default=512, help="images of an epoch on several processes (default: 512)")
    parser.add_argument("--epochs", type=int, default=20, help="whose memory is looked at (default: 20)")
    args = parser.parse_args()
    parts: list[str] = []
    for name in args.only:
        parts += SECTIONS[name](args)
        pages.write(args.output, "Scaling", parts)


def with_images(args: argparse.Namespace) -> list[str]:
    """Preparing, pre-training and evaluating against the number of images."""
    sides = {str(count): ("benchmarks.scaling.cost_of_images", {"count": count}) for count in args.images}
    notes = (
        f"Medians of {args.rounds} rounds; the sizes take turns, each in a process of its own, on one thread. Images are the demo's "
        "digits, 32 px, and as many for validation; the network, the recipe and its batch of 32 are the demo's. An epoch is the second, "
        "its state written; evaluation is that of a classifier."
    )
    return ["## Images", *_grown(sides, args.images, args.rounds, "an image", notes)]


def with_rows(args: argparse.Namespace) -> list[str]:
    """Planning, declaring, looking and verifying against the number of rows."""
    sides = {str(count): ("benchmarks.scaling.cost_of_rows", {"count": count}) for count in args.rows}
    notes = (
        f"Medians of {args.rounds} rounds; the sizes take turns, each in a process of its own, start-up aside. Every row is a copy of "
        f"{ROW} under a name of its own, with one stand-in for each of its jobs: true receipts over a few bytes, without DVC and git. So "
        "`verify` reads receipts here, and hardly any files."
    )
    return ["## Rows", *_grown(sides, args.rows, args.rounds, "a row", notes)]


def with_processes(args: argparse.Namespace) -> list[str]:
    """Images a second against the number of processes."""
    sides = {
        str(count): ("benchmarks.scaling.speed_of_processes", {"count": count, "images": args.shared_images}) for count in args.processes
    }
    with started(sides) as running:
        found = in_turns(running, args.rounds)
    first, rows = str(args.processes[0]), []
    for count in args.processes:
        numbers = found[str(count)]
        middle, least, most = ratio(numbers, found[first], "images_per_second")
        share = middle * args.processes[0] / count
        rows.append([count, f"{median(numbers, 'images_per_second'):.1f}", f"{middle:.2f}", f"{least:.2f} to {most:.2f}", f"{share:.0%}"])
    header = ["processes", "images/s", f"over {first}", "range", "of a proportional gain"]
    notes = (
        f"Medians of {args.rounds} rounds in turns. `dbot distill` under `workflow/launch`, torchrun and gloo, one thread a process: a "
        f"student of width {SIZED['width']}, else the demo's, {args.shared_images} images of 32 px, {SHARED_BATCH} in a step however many "
        "processes share them. Counted are the images/s of the training's own record, without its first epoch."
    )
    return ["## Processes", pages.table(header, rows), f"{notes} {disturbance(found)}"]


def with_epochs(args: argparse.Namespace) -> list[str]:
    """Memory against the number of epochs."""
    sides = {"memory": ("benchmarks.scaling.memory_by_epoch", {"count": args.images[0], "epochs": args.epochs})}
    with started(sides) as running:
        found = [value for name, value in running["memory"].measure().items() if name != OTHERS]
    after = sorted({1, 2, *(round(args.epochs * share) for share in (0.25, 0.5, 0.75, 1))})
    settled = found[1:]
    verdict = "flat" if is_flat(settled) else "not flat"
    notes = (
        f"Resident memory of one process after so many epochs of the demo's pre-training, {args.images[0]} images each, states "
        f"written as the demo does. From the second epoch to the last: {settled[0] / 1e6:.1f} to {settled[-1] / 1e6:.1f} MB, {verdict} "
        "(within 2 %)."
    )
    rows = [["MB", *(f"{found[epoch - 1] / 1e6:.1f}" for epoch in after)]]
    return ["## Memory over epochs", pages.table(["after epochs", *map(str, after)], rows), notes]


SECTIONS: Mapping[str, Callable[[argparse.Namespace], list[str]]] = {
    "images": with_images,
    "rows": with_rows,
    "processes": with_processes,
    "epochs": with_epochs,
}


def _grown(sides: Mapping[str, tuple[str, Mapping[str, Any]]], sizes: list[int], rounds: int, thing: str, notes: str) -> list[str]:
    """The table of costs in seconds by size, with what is fitted to them, and the notes."""
    with started(sides) as running:
        found = in_turns(running, rounds)
    rows = []
    for what in (name for name in found[str(sizes[0])][0] if name != OTHERS):
        costs = [median(found[str(size)], what) for size in sizes]
        fit = growth(sizes, costs)
        exponents = [f"{fit.exponent:.2f}", f"{fit.at_the_end:.2f}"]
        rows.append([what, *(f"{cost:.3f}" for cost in costs), *exponents, f"{fit.fixed:.3f}", f"{fit.each * 1e3:.3f}", fit.verdict])
    last = ["exponent", "at the end", "fixed, s", f"{thing}, ms", "growth"]
    return [pages.table(["seconds at", *map(str, sizes), *last], rows), f"{notes} {disturbance(found)}"]


def cost_of_images(count: int) -> Any:
    """A measurement of what is done with so many images."""
    folder = _kept_folder()
    group, params = alone(1), _demo()
    dataset = _drawn(params, count, folder / "drawn")
    architecture, recipe = params.architectures["B"], params.recipes.finetune["asymmetric-B"]
    classifier = classifier_for(architecture, recipe, 10, None).eval()
    numbers = iter(range(1_000_000))

    def measure() -> Numbers:
        place = folder / str(next(numbers))
        begun = time.perf_counter()
        manifest = _prepared(dataset, place)
        ready = time.perf_counter()
        looks = _trained(_pretraining(params, manifest, epochs=2), place / "state", group, time.perf_counter)
        trained = time.perf_counter()
        evaluate(classifier, recipe.evaluation_resize, architecture.image_size, "fp32", manifest, params.normalisation, group, 64)
        measured = time.perf_counter()
        shutil.rmtree(place)
        return {"`dbot prepare`": ready - begun, "an epoch of pre-training": looks[1] - looks[0], "evaluation": measured - trained}

    return measure


def cost_of_rows(count: int) -> Any:
    """A measurement of what is done with a table of so many rows."""
    os.chdir(_kept_folder())
    document = read_parts(PROJECT / DEFAULT_FILE).data | {INCLUDE: []}
    names = [f"{ROW}-{number}" for number in range(count)]
    document["rows"] |= dict.fromkeys(names, document["rows"][ROW])
    document["scales"]["demo"]["overrides"]["build"] = {"rows": names, "columns": ["cls"], "evidence": []}
    # Without YAML's aliases, as a person would write them.
    text = yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True)
    Path(DEFAULT_FILE).write_text(text, encoding="utf-8")
    project = FakeProject(Path())
    for target in project.plan.targets():
        project.run_chain(target)

    def measure() -> Numbers:
        clock = [time.perf_counter()]
        plan = Plan(load(DEFAULT_FILE, "demo"))
        jobs = plan.jobs()
        clock.append(time.perf_counter())
        project_text(plan)
        clock.append(time.perf_counter())
        judge = Judge()
        for job in jobs:
            judge.of(job)
        clock.append(time.perf_counter())
        verify(judge, jobs)
        clock.append(time.perf_counter())
        seconds = [after - before for before, after in itertools.pairwise(clock)]
        return dict(zip(("params.yaml read and planned", "dvc.yaml written", "`dbot status`", "`dbot verify`"), seconds, strict=True))

    return measure


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def speed_of_processes(count: int, images: int) -> Any:
    """A measurement of one training on so many processes."""
    folder = _kept_folder()
    document = read_parts(PROJECT / DEFAULT_FILE).data | {INCLUDE: []}
    overrides = document["scales"]["demo"]["overrides"]
    overrides.setdefault("datasets", {})[DATA] = {"embedded": {"train": images, "validation": 16}}
    overrides["architectures"]["B"] |= SIZED
    overrides["recipes"]["pretrain"]["asymmetric"] |= {"epochs": 3, "batch_size": SHARED_BATCH}
    overrides["resources"]["distill"]["any"] |= {"gpus": count if count > 1 else 0, "threads": count}
    overrides["execution"] |= {"device": "cpu", "mlflow": False}
    (folder / DEFAULT_FILE).write_text(yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True), encoding="utf-8")
    job = Plan(load(folder / DEFAULT_FILE, "demo")).distill(ROW, 1)
    for needed in reversed(list(job.ancestors())):
        _run(folder, "dbot", *needed.arguments)
    launch = [str(PROJECT / "workflow/launch"), "--nodes", "1", "--gpus", str(count), "--threads", str(count)]

    def measure() -> Numbers:
        for written in (folder / job.folder, folder / "state"):
            shutil.rmtree(written, ignore_errors=True)
        _run(folder, *launch, *job.arguments)
        receipt = folder / job.receipt
        speeds = [epoch["images_per_second"] for epoch in execution_of(receipt, read(receipt).id).epochs]
        return {"images_per_second": statistics.mean(speeds[UNTIMED:])}

    return measure


def memory_by_epoch(count: int, epochs: int) -> Any:
    """A measurement of the bytes that are resident after every epoch."""
    folder = _kept_folder()
    group, params = alone(1), _demo()
    task = _pretraining(params, _prepared(_drawn(params, count, folder / "drawn"), folder / "prepared"), epochs)

    def measure() -> Numbers:
        found = _trained(task, folder / "state", group, _resident)
        return {str(epoch): value for epoch, value in enumerate(found, start=1)}

    return measure


def _resident() -> float:
    """Bytes of this process that lie in memory."""
    return float(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))


def _demo() -> Params:
    return load(DEFAULT_FILE, "demo").params


def _drawn(params: Params, count: int, root: Path) -> Dataset:
    """The demo's digits, so many of them in each part, drawn into a folder."""
    declared = params.datasets[DATA]
    assert declared.embedded is not None
    embedded = declared.embedded.model_copy(update={"train": count, "validation": count})
    dataset = declared.model_copy(update={"root": str(root), "embedded": embedded})
    root.mkdir()
    draw(DATA, dataset, root)
    return dataset


def _prepared(dataset: Dataset, place: Path) -> Manifest:
    with contextlib.redirect_stdout(io.StringIO()):
        return prepare(DATA, dataset, place / "manifest", place / "copy", threads=1, progress_seconds=1e9)


def _pretraining(params: Params, manifest: Manifest, epochs: int) -> Task:
    """The first stage of the demo's first row, for so many epochs."""
    declared, teacher = params.rows[ROW], params.teachers[params.rows[ROW].teacher]
    recipe = params.recipes.pretrain[declared.recipe].model_copy(update={"epochs": epochs})
    student, teacher = begin_stage(params.architectures[declared.architecture], recipe, 1, teacher, params.normalisation)
    return pretrain_task("scaling", student, teacher, recipe, 1, manifest, params.normalisation)


def _trained(task: Task, state: Path, group: Processes, look: Callable[[], float]) -> list[float]:
    """Train to the end; what was seen after every epoch."""
    looks: list[float] = []

    def after_epoch(history: list[Metrics]) -> None:
        looks.append(look())

    execution = _demo().execution
    with contextlib.redirect_stdout(io.StringIO()):
        train(
            task,
            StateStore(state, execution.states_kept, execution.disk_patience_seconds),
            group,
            execution,
            task.recipe.batch_size,
            after_epoch,
        )
    return looks


def _run(folder: Path, *command: str) -> None:
    programs = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**os.environ, "PATH": programs, "PYTHONPATH": str(PROJECT / "src")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def _kept_folder() -> Path:
    """A folder that goes when this process does."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


if __name__ == "__main__":
    main()
