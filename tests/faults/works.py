"""A small real project, work by work: how it lay before each, and what each left when nobody disturbed it."""

import shutil
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbot.jobs.evaluate import DENSE
from dbot.lineage import receipt as receipts
from dbot.lineage.judge import Judge, check
from dbot.plan import RESULTS, Job, Plan
from dbot.versioning.pointer import SUFFIX
from tests.e2e.project import Copy
from tests.faults.killing import Dbot

SCENES = {"image_size": 32, "train": 24, "validation": 4, "scene": {"digits": [1, 2], "sizes": [0.5, 0.9]}}
SEEN = {"short_side": 32, "long_side": 32}
SMALLER = {
    "datasets": {
        "outlines": {"embedded": {"train": 60, "validation": 20}},
        "scenes-boxes": {"embedded": SCENES},
        "scenes-maps": {"embedded": SCENES},
    },
    "recipes": {
        "detect": {"asymmetric": {"epochs": 2, "augmentation": {"short_sides": [32], "long_side": 32}, "inference": SEEN}},
        "segment": {"asymmetric": {"epochs": 6}},
        "transfer": {"asymmetric": {"epochs": 2, "warmup_epochs": 1, "batch_size": 8}},
    },
    "execution": {"state_every_seconds": 0.05, "mlflow": False},
}
SMALL_SETS = ("scenes-boxes", "scenes-maps")

Outcome = Callable[[], Any]


@dataclass(frozen=True)
class Work:
    """One command, and what it leaves."""

    name: str
    argv: list[str]
    outcome: Outcome
    """What it left, in the working directory; raises where something there is taken for whole and is not."""
    needs: tuple[str, ...]
    """Works that come before."""


def _of(name: str, job: Job, *needs: str) -> Work:
    return Work(name, job.arguments, lambda: check(Judge().of(job)).id, needs)


def works(plan: Plan) -> dict[str, Work]:
    """Every kind of work, in an order in which they can be done."""
    uses = plan.params.uses
    training, cell = ("generate", "prepare", "distill 1", "distill 2"), plan.evaluate("B-B", "cls", 0)
    listed = [
        _of("generate", plan.generate(uses.cls)),
        _of("prepare", plan.prepare(uses.cls), "generate"),
        _of("distill 1", plan.distill("B-B", 1), "generate", "prepare"),
        _of("distill 2", plan.distill("B-B", 2), "generate", "prepare", "distill 1"),
        _of("finetune", plan.finetune("B-B", 0), *training),
        _of("evaluate", cell, *training, "finetune"),
        _of("probe", plan.probe("B-B", 1), *training),
        _of("analyse", plan.analyse("B-B", 1), *training),
        _of("transfer", plan.transfer("B-B", "outlines", 0), *training, "of outlines", "outlines"),
    ]
    outlines = [_of("of outlines", plan.generate("outlines")), _of("outlines", plan.prepare("outlines"), "of outlines")]
    listed[-1:-1] = outlines
    for column, use in (("det", uses.det), ("seg", uses.seg)):
        drawn, data = f"of {use}", use
        listed += [_of(drawn, plan.generate(use)), _of(data, plan.prepare(use), drawn)]
        listed.append(_of(DENSE[column].name, plan.job(DENSE[column], row="B-scratch", seed="0"), drawn, data))
        listed.append(_of(f"evaluate {column}", plan.evaluate("B-scratch", column, 0), drawn, data, DENSE[column].name))
    measured = (*training, "finetune", "evaluate")

    def record(*jobs: Job) -> list[str]:
        return ["record", "--scale", "demo", "--receipt", *(str(job.receipt) for job in jobs)]

    listed += [
        Work("record data", record(plan.prepare(uses.cls)), _pointers, measured),
        Work("record", record(plan.distill("B-B", 2), plan.finetune("B-B", 0)), _pointers, (*measured, "record data")),
        Work("table", ["table", "--scale", "demo"], _files("table.csv", "table.md"), measured),
        Work("report", ["report", "--scale", "demo"], _files("report.html"), measured),
        Work("sync", ["sync", "--scale", "demo"], _mlflow, measured),
    ]
    return {work.name: work for work in listed}


def _pointers() -> dict[str, str]:
    """The `.dvc` files, by path."""
    found = [*RESULTS.rglob(f"*{SUFFIX}"), *Path("data").glob(f"*{SUFFIX}")]
    return {str(path): path.read_text() for path in sorted(found)}


def _files(*names: str) -> Outcome:
    return lambda: [(RESULTS / "demo" / name).read_bytes() for name in names]


def _mlflow() -> dict[str, Any]:
    """By name, what each run holds; there is one of each name."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")
    experiment = client.get_experiment_by_name("dbot/demo")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=500)
    assert len({run.info.run_name for run in runs}) == len(runs), "two runs have one name"
    return {
        run.info.run_name: (
            run.info.status,
            run.data.params,
            {key: value for key, value in run.data.tags.items() if key not in ("mlflow.parentRunId", "mlflow.note.content")},
            sorted(
                (p.key, p.step, p.value)
                for name in run.data.metrics
                if not name.startswith("system/")
                for p in client.get_metric_history(run.info.run_id, name)
            ),
        )
        for run in runs
    }


class Undisturbed:
    """The project in which nothing goes wrong, done as far as was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.copy = Copy.made(folder / "whole")
        self.copy.change(SMALLER)
        self.works = works(self.copy.plan)
        self.seconds: dict[str, float] = {}
        self.writes: dict[str, int] = {}
        self.outcomes: dict[str, Any] = {}

    def work(self, name: str) -> Work:
        """A work that has been done, with what it needs."""
        work = self.works[name]
        if name not in self.outcomes:
            for needed in work.needs:
                self.work(needed)
            shutil.copytree(self.copy.folder, self._before(name), symlinks=True)
            dbot = Dbot(self.copy.folder)
            self.seconds[name] = dbot.run(work.argv)
            self.writes[name] = dbot.writes
            with chdir(self.copy.folder):
                self.outcomes[name] = work.outcome()
        return work

    def before(self, name: str, folder: Path) -> Dbot:
        """A project of its own, as it was just before a work."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._before(name), folder, symlinks=True)
        return Dbot(folder)

    def _before(self, name: str) -> Path:
        return self.folder / f"before {name}"


def whole_receipts(folder: Path) -> int:
    """How many receipts lie in a project; each must be whole, and so must the files that it names."""
    found = list((folder / RESULTS).rglob("receipt.json"))
    for path in found:
        receipt = receipts.read(path)
        for name, recorded in receipt.artifacts.items():
            receipts.verified(path.parent, name, recorded)
    return len(found)
