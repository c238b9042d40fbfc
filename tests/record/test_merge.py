"""Two people who built different rows put them together with git and DVC."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dbot.cli import main
from dbot.record import receipt as receipts
from dbot.record import surroundings
from dbot.record.adopt import adoption
from dbot.record.keep import keep
from dbot.record.status import State, status
from tests.fakes import PROJECT, FakeProject

Shell = Callable[..., str]
DVC = (sys.executable, "-m", "dvc")


class Person:
    """Somebody with a clone."""

    def __init__(self, folder: Path, sh: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.sh = sh
        self.monkeypatch = monkeypatch
        self.project = FakeProject(folder)

    def works(self) -> FakeProject:
        self.monkeypatch.chdir(self.folder)
        return self.project

    def builds(self, row: str) -> None:
        """A row's cell with all behind it, recorded, committed and pushed to DVC's remote."""
        project = self.works()
        cell = project.plan.evaluate(row, "cls", "0")
        project.run_chain(cell)
        keep(project.plan, [job.receipt for job in project.plan.jobs([cell])])
        assert main(["table"]) == 0
        Path("results/demo/recorded.json").write_text(json.dumps({"row": row}))
        self.sh("git", "add", "results", "dvc.lock", "dvc.yaml")
        self.sh("git", "commit", "-qm", f"row {row}")
        self.sh(*DVC, "push", "-q")

    def pulls(self, other: "Person") -> str:
        """What git says; whether it could merge or not."""
        self.works()
        done = subprocess.run(
            ["git", "pull", "-q", "--no-rebase", "--no-edit", str(other.folder)], capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr


@pytest.fixture
def two(kept: FakeProject, sh: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Person, Person]:
    """Two clones of one repository, with one remote of DVC's."""
    (kept.folder / ".gitattributes").write_bytes((PROJECT / ".gitattributes").read_bytes())
    assert main(["stages"]) == 0
    sh(*DVC, "remote", "add", "-d", "-q", "here", str(tmp_path / "remote"))
    sh("git", "add", "-A")
    sh("git", "commit", "-qm", "a project")
    people = []
    for name in ("ada", "bob"):
        sh("git", "clone", "-q", str(kept.folder), str(tmp_path / name))
        people.append(Person(tmp_path / name, sh, monkeypatch))
    return people[0], people[1]


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


@pytest.mark.slow
def test_rows_of_two_people_come_together(two: tuple[Person, Person], capsys: pytest.CaptureFixture[str], sh: Shell) -> None:
    ada, bob = two
    ada.builds("B-B")
    bob.builds("L-L")
    assert "CONFLICT" in ada.pulls(bob)
    text = said(capsys, "merge")
    assert "resolved  dvc.lock" in text
    for name in ("generate", "prepare"):
        assert f"beside    results/demo/{name}/digits/beside/" in text
    assert "<<<<" not in sh("git", "diff", "--cached")
    sh("git", "commit", "-q", "--no-edit")
    subprocess.run([*DVC, "pull", "-q"], capture_output=True, check=False)

    plan = ada.project.plan
    cells = [plan.evaluate(row, "cls", "0") for row in ("B-B", "L-L")]
    assert {each.state for each in status(plan, cells).jobs.values()} == {State.BUILT}
    assert adoption(plan).adopted == plan.jobs(cells)
    text = said(capsys, "verify", "B-B", "L-L")
    assert "2 results of scale demo and all that is behind them match" in text
    assert "not in its lock files" not in text
    assert main(["table"]) == 0
    rows = Path("results/demo/table.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in rows if ",50.00," in line] == ["B-B", "L-L"]

    # And the other one gets it back without a conflict.
    sh("git", "commit", "-qam", "the table of both")
    assert "CONFLICT" not in bob.pulls(ada)
    subprocess.run([*DVC, "pull", "-q"], capture_output=True, check=False)
    assert "2 results" in said(capsys, "verify")


@pytest.mark.slow
def test_a_receipt_beside_is_checked_like_any_other(two: tuple[Person, Person], capsys: pytest.CaptureFixture[str]) -> None:
    ada, bob = two
    ada.builds("B-B")
    bob.builds("L-L")
    ada.pulls(bob)
    said(capsys, "merge")
    subprocess.run([*DVC, "pull", "-q"], capture_output=True, check=False)
    (beside,) = Path("results/demo/prepare/digits/beside").glob("*.json")
    text = beside.read_text()
    beside.write_text(text.replace('"host": "', '"host": "x'))
    assert main(["verify", "L-L"]) == 2
    assert f"{beside}: was changed after it was written" in capsys.readouterr().err
    beside.unlink()
    assert main(["verify", "L-L"]) == 2
    assert "was made from another results/demo/" in capsys.readouterr().err


@pytest.mark.slow
def test_another_result_of_the_same_job_must_be_chosen(
    two: tuple[Person, Person], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same row on two machines that don't compute alike: no program knows which is to be kept."""
    ada, bob = two
    ada.builds("B-B")
    with monkeypatch.context() as patch:
        patch.setattr(surroundings, "environment", lambda: {"python": "another"})
        bob.builds("B-B")
    ada.pulls(bob)
    assert main(["merge"]) == 2
    assert "both sides have another result of this job" in capsys.readouterr().err
    said(capsys, "merge", "--keep", "theirs")
    subprocess.run([*DVC, "pull", "-q", "--force"], capture_output=True, check=False)
    plan = ada.project.plan
    for job in plan.jobs([plan.evaluate("B-B", "cls", "0")]):
        assert receipts.read(job.receipt).identity.environment == {"python": "another"}
    assert main(["table"]) == 0
    assert "1 result of scale demo" in said(capsys, "verify", "--skip-mlflow")


def test_what_people_wrote_is_left_to_them(two: tuple[Person, Person], capsys: pytest.CaptureFixture[str], sh: Shell) -> None:
    ada, bob = two
    for person, value in ((ada, "0.7"), (bob, "0.8")):
        person.works().set("mask_ratio: 0.75", f"mask_ratio: {value}")
        sh("git", "commit", "-qam", f"mask ratio {value}")
    ada.pulls(bob)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ada.folder)
        # params.yaml holds git's marks, so it can't be read: that is said first.
        assert main(["merge"]) == 2
    assert capsys.readouterr().err.startswith("dbot merge: params.yaml")


def test_without_a_merge_it_is_one_line(kept: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["merge"]) == 2
    assert "no merge is under way" in capsys.readouterr().err


def test_without_git_it_is_one_line(project: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["merge"]) == 2
    assert "this folder is in no git repository" in capsys.readouterr().err
