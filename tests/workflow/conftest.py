"""Snakemake on the project's own rules, in a copy of the project, with a stand-in for `dbot`."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest

from tests.fakes import FakeProject
from tests.few_rows import params_with_few_rows
from tests.processes import run_program

PROJECT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
"""Where this environment's `snakemake` is: the tests may run without it on the PATH."""


Run = Callable[..., subprocess.CompletedProcess[str]]


def surroundings(**more: str) -> dict[str, str]:
    """The environment with this environment's programs, before them the stand-in of a project's copy."""
    paths = {"PATH": ("stand-in", str(PROGRAMS), os.environ["PATH"]), "PYTHONPATH": (str(PROJECT / "src"), str(PROJECT))}
    return {**os.environ, **more, **{name: os.pathsep.join(parts) for name, parts in paths.items()}}


def snakemake(project: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a copy of the project; its messages, errors included, are in ``stdout``."""
    return run_program(("snakemake", "--nocolor", *arguments), project, surroundings(**environment), seconds=120, merged=True)


def copy_of_project(folder: Path) -> Path:
    """The workflow, its parameters and the stand-in, without results."""
    folder.mkdir(parents=True)
    shutil.copytree(PROJECT / "workflow", folder / "workflow", symlinks=True)
    shutil.copy(PROJECT / "slurm", folder / "slurm", follow_symlinks=False)
    (folder / "params.yaml").write_text(params_with_few_rows())
    shutil.copy(PROJECT / "environment.yml", folder)
    (folder / "stand-in").mkdir()
    shutil.copy(Path(__file__).parent / "stand_in_for_dbot", folder / "stand-in" / "dbot")
    return folder


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which nothing has run; for dry runs only."""
    return copy_of_project(tmp_path_factory.mktemp("workflow") / "empty")


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A copy in which nothing has run, for one test."""
    return copy_of_project(tmp_path / "project")


@pytest.fixture(scope="session")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which the demo has run; to be left as it is."""
    project = copy_of_project(tmp_path_factory.mktemp("workflow") / "complete")
    with chdir(project):
        jobs = FakeProject(project)
        for target in jobs.plan.targets():
            jobs.run_chain(target)
    done = snakemake(project, "--cores", "2")
    assert done.returncode == 0, done.stdout
    return project


@pytest.fixture
def built(complete: Path, tmp_path: Path) -> Path:
    """A copy in which the demo has run, for one test."""
    return Path(shutil.copytree(complete, tmp_path / "project", symlinks=True))
