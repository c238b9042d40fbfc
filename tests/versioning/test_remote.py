"""What is pushed to a remote of DVC's: a folder here. Those over S3 and SSH are in tests/services."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dbot.cli import main
from dbot.plan import Job
from dbot.versioning.keep import keep
from dbot.versioning.pointer import kept_by, pointer_path
from tests.fakes import FakeProject

Shell = Callable[..., str]
DVC = (sys.executable, "-m", "dvc")


@pytest.fixture
def jobs(kept: FakeProject) -> list[Job]:
    """A stage and its data, whose files DVC has."""
    last = kept.plan.distill("B-B", "1")
    kept.run_chain(last)
    found = kept.plan.jobs([last])
    keep(found)
    return found


def test_what_was_pushed_to_a_folder_is_pulled_in_a_clone(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sh: Shell
) -> None:
    sh(*DVC, "remote", "add", "-d", "there", str(tmp_path / "store"))
    assert main(["push"]) == 0
    count = sum(path.is_file() for path in (tmp_path / "store").rglob("*"))
    assert capsys.readouterr().out == f"{count} objects sent to there ({tmp_path / 'store'})\n"
    assert main(["push"]) == 0
    assert capsys.readouterr().out.startswith("0 objects sent to there (")
    wanted = {path: path.read_bytes() for job in jobs for path in kept_by(job) if path.is_file()}
    assert wanted
    for command in (("add", "-A"), ("commit", "-qm", "all of it"), ("clone", "-q", ".", str(tmp_path / "clone"))):
        sh("git", *command)
    monkeypatch.chdir(tmp_path / "clone")
    sh(*DVC, "pull", "-q")
    assert {path: path.read_bytes() for path in wanted} == wanted
    assert main(["verify", str(jobs[-1].folder), "--skip-mlflow"]) == 0


def test_without_a_remote_or_its_package_one_line_says_what_to_do(jobs: list[Job], capsys: pytest.CaptureFixture[str], sh: Shell) -> None:
    assert main(["push"]) == 2
    assert (
        capsys.readouterr().err
        == "dbot push: DVC: there is no default remote; `dvc remote add -d NAME ADDRESS` makes one (docs/services.md)\n"
    )
    sh(*DVC, "remote", "add", "-d", "there", "gs://kept/dvc")
    assert main(["push", "--remote", "elsewhere"]) == 2
    assert "there is no remote elsewhere" in capsys.readouterr().err
    assert main(["push"]) == 2
    assert capsys.readouterr().err == "dbot push: DVC's remote there: needs a package that is not here; run: pip install dvc-gs\n"
    assert all(pointer_path(path).exists() for job in jobs for path in kept_by(job))
