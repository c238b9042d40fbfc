"""Whatever has happened to a result: the judge, what is shown of it, and Snakemake's plan give one answer."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest

from dbot.cli import main
from dbot.forecast.forecast import forecast
from dbot.lineage import surroundings
from dbot.lineage.judge import Judge, State
from dbot.lineage.session import Session
from dbot.report.page import render
from tests.fakes import FakeProject
from tests.workflow.conftest import copy_of_project, snakemake

CHAIN = ["generate/digits", "prepare/digits", "distill/B-B/stage1", "distill/B-B/stage2", "finetune/B-B/seed0", "evaluate/B-B/cls/seed0"]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def nothing(project: FakeProject) -> None:
    """As it was built."""


def parameters(project: FakeProject) -> None:
    project.set("label_smoothing: 0.1\n      head_init_std: 0.01", "label_smoothing: 0.2\n      head_init_std: 0.01")


def same_again(project: FakeProject) -> None:
    project.run(project.plan.prepare("digits"))


def another_result(project: FakeProject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surroundings, "code_digest", lambda: "0" * 64)
        project.run(project.plan.distill("B-B", 2))


def missing(project: FakeProject) -> None:
    (project.plan.distill("B-B", 1).folder / "student.safetensors").unlink()


def missing_and_needed(project: FakeProject) -> None:
    missing(project)
    project.plan.distill("B-B", 2).receipt.unlink()


def damaged(project: FakeProject) -> None:
    flip(project.plan.finetune("B-B", 0).folder / "last.safetensors")


def edited(project: FakeProject) -> None:
    path = project.plan.finetune("B-B", 0).receipt
    path.write_text(path.read_text().replace('"loss": 0.25', '"loss": 0.2'))


def execution_edited(project: FakeProject) -> None:
    (path,) = (project.plan.finetune("B-B", 0).folder / "executions").iterdir()
    path.write_text(path.read_text().replace('"host": "', '"host": "x'))


def gone(project: FakeProject) -> None:
    project.plan.distill("B-B", 2).receipt.unlink()


def other_code(project: FakeProject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surroundings, "code_digest", lambda: "0" * 64)
        for name in CHAIN:
            verb, *values = name.split("/")
            project.run(project.plan.job(verb, *(re.sub("^(stage|seed)", "", value) for value in values)))


SITUATIONS: dict[Callable[[FakeProject], None], tuple[State, list[str]]] = {
    nothing: (State.BUILT, []),
    parameters: (State.STALE, CHAIN[4:]),
    same_again: (State.BUILT, []),
    another_result: (State.STALE, CHAIN[4:]),
    missing: (State.BUILT, []),
    missing_and_needed: (State.NOT_RUN, CHAIN[2:]),
    damaged: (State.BROKEN, CHAIN[4:]),
    edited: (State.BROKEN, CHAIN[4:]),
    execution_edited: (State.BROKEN, CHAIN[4:]),
    gone: (State.NOT_RUN, CHAIN[3:]),
    other_code: (State.BUILT, []),
}
"""By what has happened: how the cell stands, and the jobs that have to run."""


def planned(folder: Path) -> list[str]:
    """The jobs that a dry run lists."""
    done = snakemake(folder, "--dry-run", f"results/demo/{CHAIN[-1]}/receipt.json")
    assert done.returncode == 0, done.stdout
    found = set(re.findall(r" --receipt results/demo/(\S+)/receipt\.json", done.stdout))
    assert found or "Nothing to be done" in done.stdout
    return [name for name in CHAIN if name in found]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_of_project(tmp_path_factory.mktemp("agreement") / "project")
    with chdir(folder):
        project = FakeProject(folder)
        project.run_chain(project.plan.evaluate("B-B", "cls", 0))
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeProject:
    monkeypatch.chdir(shutil.copytree(template, tmp_path / "project", symlinks=True))
    return FakeProject(Path.cwd())


def agrees(project: FakeProject, state: State, jobs: list[str], capsys: pytest.CaptureFixture[str], verified: bool) -> None:
    plan, judge = project.plan, Judge()
    cell = plan.evaluate("B-B", "cls", 0)
    assert judge.of(cell).state is state
    assert [job.name for job in judge.to_do(plan, [cell])] == jobs
    assert [one.job.name for one in forecast(plan, [cell]).jobs if not one.done] == jobs
    assert main(["status", "B-B", "--format", "json"]) == 0
    assert [result["state"] for result in json.loads(capsys.readouterr().out)["results"]] == [state]
    assert main(["table"]) == 0
    capsys.readouterr()
    with Path("results/demo/table.csv").open() as stream:
        row = next(row for row in csv.DictReader(stream) if row["row"] == "B-B")
    assert (row["cls_status"], row["cls_measured"] != "") == (("measured", True) if state.holds else (str(state), False))
    page = render(plan)
    assert ("50.0" in page.partition("<table")[2].partition("B-B")[2].partition("</tr>")[0]) == state.holds
    assert main(["verify", "B-B", "--skip-mlflow"]) == (0 if verified else 2)
    capsys.readouterr()
    assert planned(project.folder) == jobs


@pytest.mark.parametrize("happens", SITUATIONS, ids=lambda happens: happens.__name__)
def test_all_give_the_same_answer(project: FakeProject, happens: Callable[[FakeProject], None], capsys: pytest.CaptureFixture[str]) -> None:
    happens(project)
    state, jobs = SITUATIONS[happens]
    agrees(project, state, jobs, capsys, verified=state is State.BUILT and happens is not missing)


def test_a_job_at_work_is_running_to_all(project: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    with Session(project.plan.finetune("B-B", 0)):
        agrees(project, State.RUNNING, CHAIN[4:], capsys, verified=False)


def test_nothing_has_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copy_of_project(tmp_path / "project")
    with chdir(folder):
        agrees(FakeProject(folder), State.NOT_RUN, CHAIN, capsys, verified=False)


def test_a_copy_and_a_switch_of_parameters_and_back_run_nothing(project: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the times of files and Snakemake's own notes say."""
    assert planned(project.folder) == []
    parameters(project)
    assert planned(project.folder) == CHAIN[4:]
    project.set("label_smoothing: 0.2\n      head_init_std: 0.01", "label_smoothing: 0.1\n      head_init_std: 0.01")
    for path in sorted(project.folder.rglob("*.safetensors")):
        path.touch()
    agrees(project, State.BUILT, [], capsys, verified=True)
