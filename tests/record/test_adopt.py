"""Which jobs a clone may take over."""

from pathlib import Path

import pytest

from dbot.cli import main
from dbot.record.adopt import adoption, outputs
from tests.fakes import FakeProject


@pytest.fixture
def cloned(project: FakeProject) -> FakeProject:
    for row in ("B-B", "L-L"):
        project.run_chain(project.plan.evaluate(row, "cls", "0"))
    return project


def test_everything_that_holds_is_adopted(cloned: FakeProject) -> None:
    plan = cloned.plan
    found = adoption(plan)
    assert found.adopted == plan.jobs([plan.evaluate(row, "cls", "0") for row in ("B-B", "L-L")])
    assert "there is no such receipt" in found.refused["distill/H-H/stage1"]


def test_what_follows_a_changed_parameter_is_not(cloned: FakeProject) -> None:
    cloned.set("asymmetric-L: {epochs: 20, drop_path: 0,", "asymmetric-L: {epochs: 21, drop_path: 0,")
    found = adoption(cloned.plan)
    assert "recipe.epochs = 20, now it is 21" in found.refused["finetune/L-L/seed0"]
    assert found.refused["evaluate/L-L/cls/seed0"] == "finetune/L-L/seed0, which it needs, is not"
    assert {"distill/L-L/stage2", "evaluate/B-B/cls/seed0"} <= {job.name for job in found.adopted}


def test_what_follows_a_missing_checkpoint_is_not(cloned: FakeProject) -> None:
    (cloned.plan.distill("B-B", "1").folder / "student.safetensors").unlink()
    refused = adoption(cloned.plan).refused
    assert "dvc pull" in refused["distill/B-B/stage1"]
    assert "evaluate/B-B/cls/seed0" in refused
    assert "evaluate/L-L/cls/seed0" not in refused


def test_marks_are_touched_where_they_exist(cloned: FakeProject) -> None:
    plan = cloned.plan
    job = plan.distill("B-B", "1")
    (job.folder / "recorded.json").touch()
    files = outputs(plan, adoption(plan))
    assert {job.receipt, job.folder / "student.safetensors", job.folder / "recorded.json"} <= set(files)
    assert plan.distill("L-L", "1").folder / "recorded.json" not in files


def test_the_verb_says_what_it_did(cloned: FakeProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    touched: list[Path] = []
    monkeypatch.setattr("dbot.verbs.adopt.touch", lambda plan, files: touched.extend(files))
    assert main(["adopt"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "adopted      evaluate/B-B/cls/seed0" in lines
    assert lines[-1] == "10 of 40 jobs of scale demo are adopted"
    assert touched == outputs(cloned.plan, adoption(cloned.plan))


def test_a_snakemake_that_fails_is_one_line(project: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    project.run(project.plan.generate("digits"))  # and there is no Snakefile
    assert main(["adopt"]) == 2
    line = capsys.readouterr().err
    assert "snakemake --touch failed" in line
    assert line.count("\n") == 1
