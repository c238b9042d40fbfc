"""What many tests need: the project's own parameters, and a project of fake jobs in a folder of its own."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from dbot.params.document import Params
from dbot.params.load import load
from dbot.train.saving import Saver
from tests.fakes import FakeProject

PROJECT = Path(__file__).parents[1]

# No test compares a time with a bound; an example that loads a library, or runs on a busy machine, is no failure.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # as a shell starts what it leaves in the background; whoever is started here takes it on
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def paper() -> Params:
    """The parameters of the paper's scale."""
    return load(PROJECT / "params.yaml", "paper").params


@pytest.fixture(scope="session")
def demo() -> Params:
    """The parameters of the demo scale."""
    return load(PROJECT / "params.yaml", "demo").params


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Several threads cost more in waiting than small maps are worth."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def state_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes: each is on the disk before the next is begun."""

    def is_due(saver: Saver) -> bool:
        saver.wait()
        return True

    monkeypatch.setattr(Saver, "is_due", is_due)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeProject:
    """The working directory is the project; MLflow's store is the project's own file."""
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "DVC_"))]:
        monkeypatch.delenv(name)
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return FakeProject(folder)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs: making one takes seconds, copying it none."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def stored(project: FakeProject, empty_store: Path) -> FakeProject:
    """The same, with MLflow's database made."""
    shutil.copy(empty_store, project.folder)
    return project


@pytest.fixture
def kept(project: FakeProject, monkeypatch: pytest.MonkeyPatch) -> FakeProject:
    """The same with git and this project's own settings of DVC, and nothing of the user's."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "a person")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "person@example.org")
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    for name in (".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore"):
        (project.folder / name).parent.mkdir(exist_ok=True)
        (project.folder / name).write_bytes((PROJECT / name).read_bytes())
    subprocess.run(["git", "init", "-q", "."], check=True)
    return project


@pytest.fixture
def sh() -> Callable[..., str]:
    """Runs a command line that must succeed and returns what it prints."""

    def run(*command: str, cwd: Path | None = None) -> str:
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    return run
