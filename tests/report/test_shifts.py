"""The tables of classifiers on shifted sets and of adaptations: numbers come from receipts that hold, and from nowhere else."""

import csv
import json
from pathlib import Path

import pytest

from dbot.base.errors import UserError
from dbot.cli import main
from dbot.jobs.adapt import FEW_SHOT, SEGMENTATION
from dbot.lineage.judge import Judge
from dbot.plan import Job
from dbot.report import adaptations, shifts
from dbot.report.page import render
from dbot.report.table import build
from tests.fabricated import Project
from tests.report.test_page import read


def done(project: Project, job: Job, **results: float) -> None:
    """Pretend that a job found this."""
    for needed in job.inputs.values():
        if not needed.receipt.exists():
            project.pretend(needed)
    project.write(job, results, "cpu", 0.25, curve=False)


def lines(project: Project) -> dict[str, shifts.Line]:
    judge = Judge()
    return {line.row: line for line in shifts.build(project.plan, judge, build(project.plan, judge)).lines}


def test_a_set_shows_its_own_measure(project: Project) -> None:
    done(project, project.plan.shift("B-B", "digits-v2", 0), top1=61.25, top5=90.0, ece=3.0, brier=0.5, images=200.0)
    done(project, project.plan.shift("B-B", "digits-c", 0), top1=40.0, mce=130.5, images=1300.0)
    cells = lines(project)["B-B"].cells
    assert cells["digits-v2"].measured == 61.25
    assert cells["digits-c"].measured == 130.5, "worse than the reference"
    assert cells["digits-a"].measured is None


def test_impossible_numbers_are_not_shown(project: Project) -> None:
    done(project, project.plan.shift("B-B", "digits-v2", 0), top1=float(-1))
    assert lines(project)["B-B"].cells["digits-v2"].measured is None


def test_the_cost_is_what_the_evaluation_found(project: Project) -> None:
    assert lines(project)["B-B"].cost is None
    done(project, project.plan.evaluate("B-B", "cls", 0), top1=50.0, parameters=86_567_656.0, gflops=35.1)
    cost = lines(project)["B-B"].cost
    assert cost is not None
    assert (cost.parameters, cost.gflops, cost.device) == (86.567656, 35.1, "cpu")


def test_page_and_file_say_the_same(project: Project) -> None:
    assert 'id="shifts"' not in render(project.plan), "nothing was asked for, and nothing ran"
    done(project, project.plan.shift("L-L", "digits-v2", 0), top1=61.25, top5=90.0, images=200.0)
    done(project, project.plan.evaluate("L-L", "cls", 0), top1=70.0, parameters=2e6, gflops=0.5)
    reader = read(render(project.plan))
    assert "#job-shift-L-L-digits-v2-seed0" in reader.links
    assert "digits drawn again" in reader.text
    assert "corrupted digits, mCE" in reader.text
    assert "61.2" in reader.text
    assert main(["shifts"]) == 0
    with Path("results/demo/shifts.csv").open() as file:
        found = {(line["row"], line["dataset"]): line for line in csv.DictReader(file)}
    line = found["L-L", "digits-v2"]
    assert (line["measure"], line["value"], line["top5"], line["images"], line["own_top1"]) == ("top1", "61.25", "90.00", "200", "70.00")
    assert (line["parameters_million"], line["gflops"]) == ("2.0000", "0.5000")
    assert found["L-L", "digits-c"]["status"] == "not run"


def test_a_set_that_is_not_declared_is_one_line(project: Project) -> None:
    with pytest.raises(UserError, match=r"there is no 'digits' under `shift\.sets`; declared are: digits-v2, digits-real"):
        project.plan.shift("B-B", "digits", 0)


def test_adaptations_of_page_and_file(project: Project) -> None:
    plan = project.plan
    assert 'id="adaptations"' not in render(plan)
    done(project, plan.adapt("B-B", FEW_SHOT, 1), few_1=31.5, few_1_sd=2.25, few_5=55.0, few_5_sd=1.0, few_10=60.0, few_10_sd=0.5)
    done(project, plan.adapt("B-B", SEGMENTATION, 1), miou=42.5, macc=50.0, aacc=80.0)
    reader = read(render(plan))
    assert {"#job-adapt-B-B-few-shot-stage1", "#job-adapt-B-B-segmentation-stage1"} <= set(reader.links)
    assert "31.5 ± 2.2" in reader.text
    assert "1 image a class" in reader.text
    assert main(["adaptations"]) == 0
    with Path("results/demo/adaptations.csv").open() as file:
        found = {(line["row"], line["stage"]): line for line in csv.DictReader(file)}
    line = found["B-B", "1"]
    assert (line["few_1"], line["few_1_sd"], line["miou"], line["macc"]) == ("31.50", "2.25", "42.50", "50.00")
    assert line["few_shot_status"] == line["segmentation_status"] == "measured"
    assert found["B-B", "2"]["few_shot_status"] == "not run"
    assert json.dumps(adaptations.title("few_10")) == '"10 images a class"'


def test_tasks_that_there_are_not(project: Project) -> None:
    with pytest.raises(UserError, match="--task is 'depth': must be one of: few-shot, segmentation"):
        project.plan.adapt("B-B", "depth", 1)
    with pytest.raises(UserError, match="row B-scratch has no network of stage 1"):
        project.plan.adapt("B-scratch", FEW_SHOT, 1)
