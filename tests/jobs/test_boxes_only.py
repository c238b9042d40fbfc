"""What is declared, forecast and said of detectors that a set without masks trains."""

from pathlib import Path

import pytest

from dbot.jobs.work import Estimate
from dbot.lineage.judge import Judge
from dbot.plan import Job, Plan
from dbot.report.files import csv_text, markdown
from dbot.report.page import render
from dbot.report.table import build
from tests.fabricated import Project

ROOT = "    root: data/scenes-boxes\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project.begin(tmp_path, monkeypatch)


def jobs(plan: Plan) -> list[Job]:
    return [plan.job("detect", "B-scratch", "0"), plan.evaluate("B-scratch", "det", 0)]


def test_settings_say_it_and_leave_out_what_decides_nothing(project: Project) -> None:
    for job in jobs(project.plan):
        assert "masks" not in job.settings
        assert "masks" in job.settings["recipe"]
        assert "masks" not in job.inputs["data"].settings["dataset"]
    for job in jobs(project.reload((ROOT, f"{ROOT}    masks: none\n")).plan):
        assert job.settings["masks"] == job.inputs["data"].settings["dataset"]["masks"] == "none"
        assert "masks" not in job.settings["recipe"]
        assert "mask" not in job.settings["recipe"].get("inference", {})
        assert ("datasets", "scenes-boxes", "masks") in job.sources


def test_no_mask_head_is_counted(project: Project) -> None:
    def estimated(plan: Plan) -> tuple[int, float]:
        job = jobs(plan)[0]
        counts = {("scenes-boxes", part): 10 for part in ("train", "validation")}
        work = job.kind.work(Estimate(plan.params, counts, plan.resources(job)), job)
        return work.checkpoints, work.flops

    whole, without = estimated(project.plan), estimated(project.reload((ROOT, f"{ROOT}    masks: none\n")).plan)
    recipe, stages = project.plan.params.recipes.detect["asymmetric-B"], 3
    channels, convolutions = recipe.channels, recipe.masks.convolutions
    head = convolutions * channels * (9 * channels + 1) + channels * (4 * channels + 1) + 11 * (channels + 1)
    assert whole[0] - without[0] == 4 * stages * head
    assert without[1] < whole[1]


def test_the_cell_says_boxes_only(project: Project) -> None:
    plan = project.reload((ROOT, f"{ROOT}    masks: none\n")).plan
    measured = jobs(plan)[1]
    for needed in measured.inputs.values():
        project.pretend(needed)
    project.write(measured, {"box_ap": 31.0, "box_ap50": 50.0}, "cpu", 0.25, curve=False)
    table = build(plan, Judge())
    cell = next(line for line in table.controls if line.name == "B-scratch").cells["det"]
    assert (cell.measured, cell.status, cell.notes) == (31.0, "measured, boxes only", ["boxes only"])
    assert "31.0 (boxes only)" in markdown(table)
    assert "mask AP" not in markdown(table)
    assert "measured, boxes only" in csv_text(table)
    assert ">boxes only</span>" in render(plan)


def test_box_ap_of_such_a_detector_is_no_published_one(project: Project) -> None:
    paper = project.reload(scale="paper").plan
    assert build(paper, Judge()).lines[0].cells["det"].comparable
    paper = project.reload(("  coco-2017:\n", "  coco-2017:\n    masks: none\n")).plan
    table = build(paper, Judge())
    assert not any(line.cells["det"].comparable for line in table.lines)
    assert "measures det with a detector of boxes alone: no difference is given there" in markdown(table)
