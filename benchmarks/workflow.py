"""What the machinery costs: planning the paper's table, a run with nothing to do, an empty job, receipts and MLflow."""

import multiprocessing
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from benchmarks import pages
from dbot.params.document import INCLUDE, read_parts
from dbot.params.load import DEFAULT_FILE, load
from dbot.plan import Plan

PROJECT = Path(__file__).parents[1]
EPOCH_SECONDS = 109
"""Of pre-training ViT-B at paper scale, on its 32 GPUs, as the paper's table of costs is quoted."""


def main() -> None:
    parser = pages.parser("workflow", __doc__)
    parser.add_argument(
        "--finished", type=Path, metavar="FOLDER", help="a copy of a project whose demo has run: the verbs that look back are timed there"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [
            ["plan of the paper's whole table", *_spread(args.rounds, lambda: _plan_paper())],
            [
                "`snakemake -n` of the paper's whole table",
                *_spread(args.rounds, lambda: _run(_copy(folder / "paper"), "-n", "-q", "all", *PAPER)),
            ],
        ]
        done = _copy(folder / "done")
        _run(done, "--cores", "2", "-q", "all", *DEMO)
        rows.append(
            ["`snakemake` with nothing to do (demo scale)", *_spread(args.rounds, lambda: _run(done, "--cores", "2", "-q", "all", *DEMO))]
        )
        empty = _one_step(folder / "empty")
        rows.append(["an empty job: `dbot distill` of one step, from start to exit", *_spread(args.rounds, empty)])
        if args.finished is not None:
            rows += [[f"`dbot {line}`", *_spread(args.rounds, lambda line=line: _dbot(args.finished, line))] for line in LOOKING_BACK]
        (folder / "record").mkdir()
        _copy_params(folder / "record")
        # Every round in a process of its own, as a job is one; the first makes MLflow's database and doesn't count.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
            costs = [pool.submit(_record, folder / "record").result() for _ in range(args.rounds + 1)][1:]
        for what in costs[0]:
            found = [cost[what] for cost in costs]
            share = f"{statistics.median(found) / EPOCH_SECONDS:.3%}"
            rows.append([what, f"{statistics.median(found):.4f}", f"{min(found):.4f} to {max(found):.4f}", share])
    filled = [row if len(row) == 4 else [*row, ""] for row in rows]
    notes = (
        f"Medians of {args.rounds}. The jobs of the run with nothing to do are stand-ins that write their outputs at once; Snakemake's own "
        f"work is whole. The last column is the share of an epoch of ViT-B at paper scale, {EPOCH_SECONDS} s on 32 GPUs as quoted from the "
        "paper. MLflow writes to SQLite on this machine. "
        "What stands there as of a job happens once in it, however many epochs it has."
    )
    pages.write(args.output, "The workflow", [pages.table(["what", "seconds", "range", "of an epoch"], filled), notes])


LOOKING_BACK = (
    "status",
    "table",
    "report",
    "verify",
    "lineage B-B/cls",
    "record --receipt results/demo/distill/B-B/stage1/receipt.json",
    "sync",
)
"""Verbs that train nothing, on the demo's table."""
PAPER = ("--config", "scale=paper")
DEMO = ("--config", "scale=demo")


def _spread(rounds: int, run: Callable[[], Any]) -> list[str]:
    """Median and range of the seconds that something takes, after once that is not counted."""
    seconds = []
    for _ in range(rounds + 1):
        begun = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begun)
    return [f"{statistics.median(seconds[1:]):.2f}", f"{min(seconds[1:]):.2f} to {max(seconds[1:]):.2f}"]


def _plan_paper() -> None:
    plan = Plan(load(PROJECT / DEFAULT_FILE, "paper"))
    assert plan.jobs()


def _copy(folder: Path) -> Path:
    """The workflow and its parameters, with a stand-in for the jobs."""
    if not folder.exists():
        shutil.copytree(PROJECT / "workflow", folder / "workflow", symlinks=True)
        _copy_params(folder)
        shutil.copy(PROJECT / "environment.yml", folder)
        (folder / "stand-in").mkdir()
        shutil.copy(PROJECT / "tests/workflow/stand_in_for_dbot", folder / "stand-in/dbot")
    return folder


def _copy_params(folder: Path) -> None:
    shutil.copy(PROJECT / DEFAULT_FILE, folder)
    shutil.copytree(PROJECT / "params", folder / "params")


def _environment(folder: Path) -> dict[str, str]:
    programs = os.pathsep.join((str(folder / "stand-in"), str(Path(sys.executable).parent), os.environ["PATH"]))
    return {**os.environ, "PATH": programs, "PYTHONPATH": str(PROJECT / "src")}


def _run(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["snakemake", *arguments], cwd=folder, env=_environment(folder), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"snakemake {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")


def _dbot(folder: Path, line: str) -> None:
    command = f"{sys.executable} -m dbot {line}"
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=_environment(folder), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"dbot {line} failed:\n{done.stdout}{done.stderr}")


def _one_step(folder: Path) -> Callable[[], None]:
    """A job that distills the demo's smallest row for one step on 16 images, and leaves nothing behind."""
    folder.mkdir()
    document = read_parts(PROJECT / DEFAULT_FILE).data | {INCLUDE: []}
    overrides = document["scales"]["demo"]["overrides"]
    overrides["datasets"]["digits"] = {"embedded": {"train": 16, "validation": 16}}
    overrides["recipes"]["pretrain"]["asymmetric"] |= {"epochs": 1, "warmup_epochs": 0}
    (folder / DEFAULT_FILE).write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    job = Plan(load(folder / DEFAULT_FILE, "demo")).distill("B-B", 1)
    for needed in reversed(list(job.ancestors())):
        _dbot(folder, shlex.join(needed.arguments))

    def run() -> None:
        for written in (folder / job.folder, folder / "state"):
            shutil.rmtree(written, ignore_errors=True)
        _dbot(folder, shlex.join(job.arguments))

    return run


def _record(folder: Path) -> dict[str, float]:
    """Seconds of what is done around one job, and around one of its epochs."""
    from dbot.lineage.history import write_history
    from dbot.lineage.session import Session
    from dbot.tracking.mlflow import Feed
    from dbot.versioning.keep import keep_at_once

    os.chdir(folder)
    job = Plan(load(Path("params.yaml"), "demo")).generate("digits")
    clock = _Clock()
    with Session(job) as run:
        opened = clock.lap()
        feed = Feed(job, run.name, enabled=True)
        fed = clock.lap()
        history: list[dict[str, float]] = []
        for epoch in range(1, 21):
            history.append({"epoch": epoch, "loss": 1 / epoch, "learning_rate": 1e-3, "images_per_second": 1e3, "data_wait": 0.01})
            run.tick()
            write_history(run.state / "metrics.csv", history)
            feed.log(history)
        epochs = clock.lap()
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / "files.tsv").write_bytes(bytes(400_000_000))
        clock.lap()
        receipt, execution = run.finish(["files.tsv"], {"loss": 0.5})
        finished = clock.lap()
        keep_at_once(job)
        kept = clock.lap()
        feed.complete(receipt, execution, history)
        completed = clock.lap()
    return {
        "inputs checked, state opened: a job": opened,
        "MLflow loaded, its run opened: a job of over 20 s": fed,
        "metrics written and fed to MLflow: an epoch": epochs / 20,
        "receipt over an artifact of 400 MB: a job": finished,
        "DVC loaded, these 400 MB handed over: a job": kept,
        "MLflow's run completed: a job": completed,
    }


class _Clock:
    def __init__(self) -> None:
        self.last = time.perf_counter()

    def lap(self) -> float:
        now = time.perf_counter()
        seconds, self.last = now - self.last, now
        return seconds


if __name__ == "__main__":
    main()
