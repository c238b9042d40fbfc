"""From what executions say that jobs used to what jobs should ask for."""

from pathlib import Path

import pytest
import yaml

from dbot import cli
from dbot.base.errors import UserError
from dbot.forecast.resources import read, suggest, yaml_text
from dbot.lineage import executions, surroundings
from dbot.lineage.executions import FOLDER, Attempt
from dbot.params.load import load
from dbot.plan import Job, Plan
from tests.fabricated import Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project.begin(tmp_path, monkeypatch)


def use(project: Project, job: Job, *attempts: tuple[float, float | None]) -> None:
    """Pretend that a job was done in attempts of so many seconds and MB."""
    project.pretend(job)
    (path,) = (job.receipt.parent / FOLDER).glob("*.json")
    told = executions.read(path).model_dump(exclude={"format", "seal"})
    began = "2031-05-06T07:00:00+00:00"
    told["attempts"] = [Attempt(started=began, seconds=s, host="workbench", slurm_job=None, peak_mb=mb) for s, mb in attempts]
    executions.write(executions.make(**told), job.receipt)


def test_the_largest_of_a_rule_and_an_architecture_with_a_margin(project: Project) -> None:
    plan = project.plan
    use(project, plan.prepare("digits"), (2, 80.0))
    use(project, plan.distill("B-B", 1), (100, 1024.5))
    use(project, plan.distill("B-B", 2), (50, 1600.0), (80, 900.0))
    use(project, plan.distill("L-L", 1), (30, None))
    jobs = [plan.prepare("digits"), plan.distill("B-B", 1), plan.distill("B-B", 2), plan.distill("L-L", 1), plan.distill("H-H", 1)]
    text = yaml_text(plan, suggest(read(jobs), memory_margin=1.5, time_margin=2), {"memory": 1.5, "time": 2})
    assert yaml.safe_load(text)["scales"]["demo"]["overrides"]["resources"] == {
        "prepare": {"any": {"memory_gb": 0.5, "minutes": 1}},
        "distill": {"B": {"memory_gb": 2.5, "minutes": 5}, "L": {"minutes": 1}},
    }
    assert "# From 4 executions at scale demo" in text
    assert "# 2 jobs: up to 1.60 GB, 130 s" in text
    assert "# 1 job: up to memory not seen, 30 s" in text


def test_params_yaml_takes_what_is_suggested(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    use(project, project.plan.distill("B-B", 1), (1000, 9000.0))
    assert cli.main(["resources", "suggest"]) == 0
    suggested = yaml.safe_load(capsys.readouterr().out)["scales"]["demo"]["overrides"]["resources"]
    file = Path("params.yaml")
    params = yaml.safe_load(file.read_text())
    params["scales"]["demo"]["overrides"]["resources"]["distill"]["B"] |= suggested["distill"]["B"]
    file.write_text(yaml.safe_dump(params, sort_keys=False))
    asked = Plan(load(scale="demo")).resources(project.plan.distill("B-B", 1))
    assert (asked.memory_gb, asked.minutes) == (12.0, 25)


def test_an_execution_that_was_changed_is_named(project: Project) -> None:
    job = project.plan.prepare("digits")
    use(project, job, (2, 80.0))
    (path,) = (job.receipt.parent / FOLDER).glob("*.json")
    path.write_text(path.read_text().replace("80.0", "8.0"))
    with pytest.raises(UserError, match=r"was changed after it was written"):
        list(read([job]))


@pytest.mark.parametrize(
    ("flags", "said"),
    [([], "scale demo: no job has been done yet"), (["--time-margin", "0.5"], "--time-margin is 0.5: must be at least 1")],
)
@pytest.mark.usefixtures("project")
def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str], flags: list[str], said: str) -> None:
    assert cli.main(["resources", "suggest", *flags]) == 2
    assert capsys.readouterr().err.startswith(f"dbot resources: {said}")


def test_memory_is_of_all_processes_of_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = surroundings.used()["peak_mb"]
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert surroundings.used()["peak_mb"] >= 4 * alone
    assert surroundings.used(helpers=2)["peak_mb"] >= surroundings.used()["peak_mb"]
