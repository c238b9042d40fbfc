"""The table of transfers: rows by sets, with the average, beside the same fine-tuning from random weights."""

import csv
from pathlib import Path

import pytest

from dbot.base.errors import UserError
from dbot.cli import main
from dbot.lineage.judge import Judge
from dbot.report import transfers
from dbot.report.page import render
from tests.fabricated import Project
from tests.report.test_page import read


def transfer(project: Project, row: str, dataset: str, top1: float) -> None:
    job = project.plan.transfer(row, dataset, 0)
    for needed in job.inputs.values():
        if not needed.receipt.exists():
            project.pretend(needed)
    project.write(job, {"top1": top1}, "cpu", 0.25, curve=False)


def lines(project: Project) -> dict[str, transfers.Line]:
    return {line.row: line for line in transfers.build(project.plan, Judge()).lines}


def test_average_and_margin_wait_for_all_they_need(project: Project) -> None:
    transfer(project, "B-B", "outlines", 60.0)
    assert lines(project)["B-B"].average is None
    transfer(project, "B-B", "textures", 80.0)
    assert lines(project)["B-B"].average == 70.0
    assert lines(project)["B-B"].average_margin is None
    transfer(project, "B-scratch", "outlines", 50.0)
    line = lines(project)["B-B"]
    assert line.margin("outlines") == 10.0
    assert line.margin("textures") is None
    transfer(project, "B-scratch", "textures", 75.0)
    assert lines(project)["B-B"].average_margin == 7.5


def test_impossible_numbers_are_not_shown(project: Project) -> None:
    transfer(project, "B-B", "outlines", 160.0)
    assert lines(project)["B-B"].cells["outlines"].measured is None


def test_page_and_file_say_the_same(project: Project) -> None:
    transfer(project, "L-L", "outlines", 61.25)
    reader = read(render(project.plan))
    assert "#job-transfer-L-L-outlines-seed0" in reader.links
    assert "outlined digits" in reader.text
    assert "61.2" in reader.text
    assert main(["transfers"]) == 0
    with Path("results/demo/transfers.csv").open() as file:
        found = {(line["row"], line["dataset"]): line for line in csv.DictReader(file)}
    assert found["L-L", "outlines"]["top1"] == "61.25"
    assert found["L-L", "textures"]["status"] == "not run"


def test_rows_that_begin_with_a_classifier_are_not_transferred(project: Project) -> None:
    assert "H448-H" not in lines(project)
    with pytest.raises(UserError, match="row H448-H is not transferred"):
        project.plan.transfer("H448-H", "outlines", 0)
    with pytest.raises(UserError, match=r"there is no 'digits' under `transfer\.sets`; declared are: outlines, textures"):
        project.plan.transfer("B-B", "digits", 0)
