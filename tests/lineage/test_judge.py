"""What `dbot status` says of jobs that are built, stale, missing, cut short or at work."""

import json
import re
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from dbot.cli import main
from dbot.lineage import surroundings
from dbot.lineage.executions import executions_of
from dbot.lineage.history import write_history
from dbot.lineage.judge import Changed, Judge, Standing, State
from dbot.lineage.session import Session
from dbot.plan import METRICS
from tests.fakes import HISTORY, PROJECT, FakeProject


@pytest.fixture
def built(project: FakeProject) -> FakeProject:
    project.run_chain(project.plan.evaluate("B-B", "cls", "0"))
    return project


def states(project: FakeProject) -> dict[str, State]:
    """By name, each job behind the cell."""
    return {name: each.own for name, each in standings(project).items()}


def standings(project: FakeProject) -> dict[str, Standing]:
    """By name, each job behind the cell."""
    plan, judge = project.plan, Judge()
    return {job.name: judge.of(job) for job in plan.jobs([plan.evaluate("B-B", "cls", "0")])}


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["status", *arguments]) == 0
    return capsys.readouterr().out


def test_what_is_whole_is_built(built: FakeProject) -> None:
    assert set(states(built).values()) == {State.BUILT}


def test_nothing_has_run(project: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys)
    assert "built" not in text
    assert re.search(r"^not run  \d+ jobs: 1 generate, 1 prepare, ", text, re.MULTILINE)
    assert said(capsys, "B-B").splitlines()[0] == "scale demo, 1 result: 1 not run"


def test_a_changed_parameter_is_named_with_both_values(built: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    built.set("label_smoothing: 0.1\n      head_init_std: 0.01", "label_smoothing: 0.2\n      head_init_std: 0.01")
    found = states(built)
    assert [name for name, state in found.items() if state is not State.BUILT] == ["finetune/B-B/seed0"]
    line = next(line for line in said(capsys, "B-B/cls").splitlines() if line.startswith("stale"))
    assert "finetune/B-B/seed0: parameters: recipe.label_smoothing was 0.1, is now 0.2" in line
    assert line.endswith("(behind B-B/cls)")


def test_a_result_that_was_made_anew_makes_what_follows_stale(built: FakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = built.plan
    monkeypatch.setattr(surroundings, "code_digest", lambda: "0" * 64)
    built.run(plan.distill("B-B", "2"))
    each = standings(built)["finetune/B-B/seed0"]
    assert (each.own, each.changed) == (State.STALE, (Changed.INPUTS,))
    assert "distill/B-B/stage2 was " in each.reasons[0]


def test_data_that_was_made_anew_is_named_as_data(built: FakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = built.plan
    monkeypatch.setattr(surroundings, "code_digest", lambda: "0" * 64)
    built.run(plan.prepare("digits"))
    found = standings(built)
    assert {name for name, each in found.items() if Changed.DATA in each.changed} == {
        "distill/B-B/stage1",
        "distill/B-B/stage2",
        "finetune/B-B/seed0",
        "evaluate/B-B/cls/seed0",
    }


def test_other_code_makes_nothing_stale(built: FakeProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(surroundings, "code_digest", lambda: "0" * 64)
    assert set(states(built).values()) == {State.BUILT}
    assert "6 of 6 receipts are by other code than lies here now, which makes none of them stale" in said(capsys, "B-B")


def test_a_checkpoint_that_is_not_here_is_absent(built: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    (built.plan.distill("B-B", "1").folder / "student.safetensors").unlink()
    assert states(built)["distill/B-B/stage1"] is State.ABSENT
    assert "dvc pull results/demo/distill/B-B/stage1/student.safetensors" in said(capsys, "B-B")


def test_a_receipt_that_was_changed_is_broken(built: FakeProject) -> None:
    path = built.plan.finetune("B-B", "0").receipt
    path.write_text(path.read_text().replace('"label_smoothing": 0.1', '"label_smoothing": 0.2'))
    assert states(built)["finetune/B-B/seed0"] is State.BROKEN


def test_a_job_at_work_is_running_and_a_killed_one_goes_on(project: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    job = project.plan.distill("B-B", "1")
    project.run_chain(job.inputs["data"])
    with Session(job) as execution:
        write_history(execution.state / METRICS, HISTORY)
        line = next(line for line in said(capsys, "B-B").splitlines() if line.startswith("running"))
        assert "distill/B-B/stage1: epoch 1 of 7, loss 0.3, on " in line
    text = said(capsys, "B-B")
    assert "running" not in text
    assert "distill/B-B/stage1: begun: goes on from its last state; it had come to epoch 1 of 7" in text


def test_looking_does_not_keep_a_job_from_starting(project: FakeProject) -> None:
    job = project.plan.generate("digits")
    with Session(job):
        pass
    assert states(project)["generate/digits"] is State.NOT_RUN
    with Session(job):
        assert states(project)["generate/digits"] is State.RUNNING


def test_json_says_it_all(built: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, Any] = json.loads(said(capsys, "--format", "json"))
    by_name = {result["name"]: result for result in found["results"]}
    assert by_name["evaluate/B-B/cls/seed0"]["state"] == "built"
    assert by_name["evaluate/L-L/cls/seed0"]["state"] == "not run"
    assert set(by_name["evaluate/L-L/cls/seed0"]["jobs"]) <= found["jobs"].keys()
    assert found["jobs"]["distill/B-B/stage1"]["receipt"] == json.loads(Path(built.plan.distill("B-B", "1").receipt).read_text())["id"]


def test_what_two_people_did_is_one_result_and_git_merges_it_by_itself(
    tmp_path: Path, sh: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same computation in two folders: the same receipts, to the byte, and executions that lie side by side."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "a person")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "person@example.org")
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    mine.mkdir()
    for name in (".gitignore", ".gitattributes"):
        (mine / name).write_bytes((PROJECT / name).read_bytes())
    projects = [FakeProject(mine)]
    sh("git", "init", "-q", ".", cwd=mine)
    sh("git", "add", "-A", cwd=mine)
    sh("git", "commit", "-qm", "a project", cwd=mine)
    sh("git", "clone", "-q", str(mine), str(theirs))
    projects.append(FakeProject(theirs))
    for project in projects:
        with chdir(project.folder):
            project.run_chain(project.plan.finetune("B-B", "0"))
            sh("git", "add", "-A")
            sh("git", "commit", "-qm", "results")
    jobs = projects[0].plan.jobs([projects[0].plan.finetune("B-B", "0")])
    assert all((mine / job.receipt).read_bytes() == (theirs / job.receipt).read_bytes() for job in jobs)

    sh("git", "fetch", "-q", str(theirs), cwd=mine)
    sh("git", "merge", "-q", "--no-edit", "FETCH_HEAD", cwd=mine)
    with chdir(mine):
        assert sh("git", "status", "--porcelain") == ""
        judge = Judge()
        for job in jobs:
            standing = judge.of(job)
            assert standing.state is State.BUILT
            assert standing.receipt is not None
            both = executions_of(job.receipt, standing.receipt.id)
            assert len({execution.name for execution in both}) == 2
            assert standing.execution == both[0]
