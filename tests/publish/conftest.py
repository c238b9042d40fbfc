"""A finished project, a bundle of two of its rows, and projects elsewhere in which nothing was done yet."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbot.plan import Plan
from dbot.publish.contents import gathered, write
from tests.fakes import FakeProject
from tests.publish.published import ROWS, at, clone_of, make_project


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FakeProject:
    """Shared by many tests, which change nothing in it."""
    return make_project(tmp_path_factory.mktemp("published") / "project")


@pytest.fixture(scope="session")
def plan(finished: FakeProject) -> Plan:
    with at(finished.folder):
        return finished.plan


@pytest.fixture(scope="session")
def whole(finished: FakeProject, plan: Plan) -> Path:
    """A bundle; shared as well."""
    folder = finished.folder.parent / "bundle"
    with at(finished.folder):
        write(gathered(plan, ROWS), folder)
    return folder


@pytest.fixture
def bundle(whole: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(whole, tmp_path / "bundle"))


@pytest.fixture
def elsewhere(finished: FakeProject, tmp_path: Path) -> Iterator[FakeProject]:
    """Another checkout, at another path, which is the current folder."""
    project = clone_of(finished, tmp_path / "another" / "checkout")
    with at(project.folder):
        yield project
