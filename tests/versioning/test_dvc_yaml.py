"""dvc.yaml, and that it is in step with params.yaml."""

from pathlib import Path

import pytest
import yaml

from dbot.cli import main
from dbot.params.load import load
from dbot.plan import Plan
from dbot.versioning.dvc_yaml import FILE, project_text
from tests.fakes import PROJECT, FakeProject


def test_dvc_yaml_is_in_step_with_params_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    assert FILE.read_text() == project_text(Plan(load())), "run `dbot schema`"


def test_it_names_files_that_jobs_write_and_no_pipeline(project: FakeProject) -> None:
    plan = project.plan
    found = yaml.safe_load(project_text(plan))
    assert found.keys() == {"metrics", "plots", "artifacts"}
    files = {str(job.folder / name): job.verb for job in plan.jobs() for name in job.artifacts}
    assert {files[path] for path in found["metrics"]} == {"evaluate"}
    assert len(found["metrics"]) == sum(job.verb == "evaluate" for job in plan.jobs())
    curves = {title: {files[path] for path in plot["y"]} for plots in found["plots"] for title, plot in plots.items()}
    assert curves == {"pre-training": {"distill"}, "fine-tuning": {"finetune"}}
    assert {model["path"] for model in found["artifacts"].values()} <= files.keys()


def test_each_student_and_each_fine_tuned_model_has_a_name(project: FakeProject) -> None:
    models = yaml.safe_load(project_text(project.plan))["artifacts"]
    assert {"distill-B-B-stage1", "distill-B-B-stage2", "finetune-H448-H-seed0"} <= models.keys()
    assert models["finetune-B-B-seed0"]["path"] == "results/demo/finetune/B-B/seed0/last.safetensors"
    assert all(model["type"] == "model" for model in models.values())


def test_the_verb_writes_it(project: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert "wrote dvc.yaml" in capsys.readouterr().out
    assert Path("dvc.yaml").read_text() == project_text(project.plan)
