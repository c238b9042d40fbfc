"""A project of two rows whose checkpoints are real networks, though nobody trained them, and a bundle of it."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from dbot.lineage.session import Session
from dbot.models import checkpoint
from dbot.models.asymmetric import AsymmetricStudent
from dbot.models.classifier import build_classifier
from dbot.params.recipes import Decoder
from dbot.plan import Job, Plan
from tests.conftest import PROJECT
from tests.fabricated import PNG
from tests.fakes import FakeProject, do, pictures_of

ROWS = ("B-B", "L-L")
IDENTITY = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "a person"), ("EMAIL", "p@x.org"))}


def classified(plan: Plan) -> list[Job]:
    """The cells of both rows in the first column."""
    return [plan.evaluate(row, "cls", "0") for row in ROWS]


def make_project(folder: Path, cells: Callable[[Plan], list[Job]] = classified) -> FakeProject:
    """A project with the repository's rules and settings of DVC, in which some cells are finished."""
    folder.mkdir(parents=True)
    for name in (".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore", "CITATION.cff", "LICENSE", "environment.yml"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(PROJECT / name, folder / name)
    shutil.copytree(PROJECT / "workflow", folder / "workflow", symlinks=True)
    shutil.copy(PROJECT / "slurm", folder / "slurm", follow_symlinks=False)
    project = FakeProject(folder)
    for command in (["init", "-q", "."], ["add", "-A"], ["commit", "-qm", "a project"]):
        subprocess.run(["git", *command], cwd=folder, check=True, env={**os.environ, **IDENTITY})
    with at(folder):
        finish(project.plan, cells(project.plan))
    return project


def clone_of(project: FakeProject, folder: Path) -> FakeProject:
    """Another checkout of it, in which nothing is done: results are not committed."""
    subprocess.run(["git", "clone", "-q", project.folder, folder], check=True)
    return FakeProject(folder)


def closed(plan: Plan, *names: str) -> Plan:
    """The plan, where some data sets may not be shown."""
    sets = {name: each.model_copy(update={"open": each.open and name not in names}) for name, each in plan.params.datasets.items()}
    return Plan(replace(plan.resolved, params=plan.params.model_copy(update={"datasets": sets})))


def finish(plan: Plan, cells: list[Job]) -> None:
    """Do what some cells need, with networks that are drawn at random where timm shall load them."""
    for job in plan.jobs(cells):

        def networks(session: Session, job: Job = job) -> None:
            for name in job.artifacts:
                if name.endswith(".safetensors") and job.kind.exported is not None:
                    checkpoint.save(job.folder / name, *_network(plan, job, seed=sum(f"{job.name}{name}".encode())))
            for name in pictures_of(job):
                (job.folder / name).write_bytes(PNG + job.name.encode())

        job.log.parent.mkdir(parents=True, exist_ok=True)
        job.log.write_text(f"{job.name} is done\n")
        do(job, networks)


def _network(plan: Plan, job: Job, seed: int) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    torch.manual_seed(seed)
    row = job.key["row"]
    architecture = plan.params.architectures[plan.params.rows[row].architecture]
    about = {"row": row, "architecture": architecture.model_dump()}
    if job.verb == "distill":
        student = AsymmetricStudent(architecture, Decoder(width=8, depth=1, heads=2), architecture.width)
        return student.state_dict(), {**about, "kind": "student", "stage": int(job.key["stage"]), "recipe": {"design": "asymmetric"}}
    size, classes = architecture.image_size, [str(number) for number in range(10)]
    network = build_classifier(architecture, len(classes), size, "average")
    return network.state_dict(), {**about, "kind": "classifier", "image_size": size, "pooling": "average", "classes": classes}


@contextmanager
def at(folder: Path) -> Iterator[None]:
    """Work in a folder, without the variables of this test run's own tracking and DVC."""
    before, here = dict(os.environ), Path.cwd()
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "DVC_"))]:
        del os.environ[name]
    os.environ.update(IDENTITY, DVC_NO_ANALYTICS="1")
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)
