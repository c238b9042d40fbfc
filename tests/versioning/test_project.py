"""dvc.yaml, and that it is in step with params.yaml."""

import re
from pathlib import Path

import pytest
import yaml

from dbot.cli import main
from dbot.params.load import load
from dbot.plan import Plan
from dbot.versioning.project import stage_name, stages_text, write_stages
from tests.fakes import PROJECT, FakeProject


def test_dvc_yaml_is_in_step_with_params_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    assert Path("dvc.yaml").read_text() == stages_text(Plan(load())), "run `dbot stages`"


def test_every_stage_is_frozen_and_says_what_the_job_says(project: FakeProject) -> None:
    plan = project.plan
    found = yaml.safe_load(stages_text(plan))
    jobs = {stage_name(job): job for job in plan.jobs()}
    assert found["stages"].keys() == jobs.keys()
    for name, stage in found["stages"].items():
        job = jobs[name]
        assert re.fullmatch(r"[A-Za-z0-9_-]+", name)
        assert stage["frozen"] is True
        assert stage["cmd"] == job.command
        assert stage.get("deps", []) == [str(needed.receipt) for needed in job.inputs.values()]
        paths = [
            entry if isinstance(entry, str) else next(iter(entry)) for kind in ("outs", "plots", "metrics") for entry in stage.get(kind, [])
        ]
        expected = {str(job.receipt), *(str(job.folder / file) for file in job.artifacts)}
        assert set(paths) == expected | ({"data/digits"} if job.verb == "generate" else set())


def test_each_student_and_each_fine_tuned_model_has_a_name(project: FakeProject) -> None:
    models = yaml.safe_load(stages_text(project.plan))["artifacts"]
    assert {"demo-distill-B-B-stage1", "demo-distill-B-B-stage2", "demo-finetune-H448-H-seed0"} <= models.keys()
    assert models["demo-finetune-B-B-seed0"]["path"] == "results/demo/finetune/B-B/seed0/last.safetensors"
    assert all(model["type"] == "model" for model in models.values())


def test_a_job_beyond_the_table_gets_its_stage_in_its_scales_file(project: FakeProject) -> None:
    plan = project.plan
    at_the_top, apart = plan.distill("B-B", "2"), plan.distill("B-B", "3")
    assert write_stages(plan, [apart, at_the_top]) == {
        Path("dvc.yaml"): ["demo-distill-B-B-stage2"],
        Path("results/demo/dvc.yaml"): ["demo-distill-B-B-stage3"],
    }
    write_stages(plan, [plan.distill("B-L", "1")])
    found = yaml.safe_load(Path("results/demo/dvc.yaml").read_text())["stages"]
    assert list(found) == ["demo-distill-B-B-stage3", "demo-distill-B-L-stage1"]
    assert found["demo-distill-B-L-stage1"]["wdir"] == "../.."


def test_a_job_that_comes_into_the_table_moves_to_the_file_at_the_top(project: FakeProject) -> None:
    plan = project.plan
    write_stages(plan, [plan.finetune("B-L", "0"), plan.distill("B-B", "3")])
    project.set("rows: [B-B, L-L, H-H, H448-H]", "rows: [B-B, B-L]")
    write_stages(project.plan)
    assert "demo-finetune-B-L-seed0" in yaml.safe_load(Path("dvc.yaml").read_text())["stages"]
    assert list(yaml.safe_load(Path("results/demo/dvc.yaml").read_text())["stages"]) == ["demo-distill-B-B-stage3"]


def test_two_scales_that_share_a_data_set_dont_both_keep_it(project: FakeProject) -> None:
    write_stages(project.plan)
    other = FakeProject(project.folder, "single-gpu").plan
    (path,) = write_stages(other, [other.generate("digits")])
    assert "data/digits" not in yaml.safe_load(path.read_text())["stages"]["single-gpu-generate-digits"]["outs"]


def test_the_verb_writes_the_default_scale_only(project: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stages"]) == 0
    assert Path("dvc.yaml").read_text() == stages_text(project.plan)
    assert main(["stages", "--scale", "paper"]) == 2
    assert "dvc.yaml holds the default scale, which is demo" in capsys.readouterr().err
