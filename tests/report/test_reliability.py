"""Reliability diagrams on the page: drawn from the bins beside a receipt, and silent where there are none."""

from pathlib import Path

import pytest
import torch

from dbot.lineage import receipt as receipts
from dbot.measure.classification import reliability, reliability_csv
from dbot.report.page import render
from dbot.report.reliability import ORIGIN, SIDE, bars
from tests.fabricated import Project
from tests.report.test_page import read

TABLE = reliability_csv(reliability(torch.tensor([0.31, 0.95, 0.97, 0.99]), torch.tensor([False, True, True, False])))


def measured(project: Project, table: str, results: dict[str, float]) -> None:
    job = project.plan.evaluate("B-B", "cls", 0)
    project.pretend(job)
    (job.folder / "reliability.csv").write_text(table)
    written = {name: receipts.artifact_of(job.folder / name) for name in job.artifacts}
    project.write(job, {"top1": 50.0, **results}, "cpu", 0.1, False, written)


def test_a_bar_is_as_high_as_its_images_are_right(tmp_path: Path) -> None:
    (tmp_path / "bins.csv").write_text(TABLE)
    low, high = bars(tmp_path / "bins.csv")
    assert (low.height, high.height) == (0, pytest.approx(SIDE * 2 / 3))
    assert low.x == pytest.approx(ORIGIN[0] + SIDE * 4 / 15)
    assert high.y + high.height == pytest.approx(ORIGIN[1] + SIDE)
    assert "3 images with confidence 0.97: 0.67 of them right" in high.said


def test_the_page_draws_what_was_measured(project: Project) -> None:
    measured(project, TABLE, {"ece": 34.25, "brier": 0.512})
    page = render(project.plan)
    reader = read(page)
    assert "calibration" in reader.ids
    assert "#calibration" in reader.links
    assert "B-B , seed 0: ECE 34.2, Brier score 0.512" in reader.text
    assert page.count('class="bin"') == 2


def test_a_receipt_from_before_has_no_diagram(project: Project) -> None:
    project.pretend(project.plan.evaluate("B-B", "cls", 0), top1=50.0)
    assert "calibration" not in read(render(project.plan)).ids


def test_a_table_that_is_none_is_a_sentence(project: Project) -> None:
    measured(project, "no bins", {"ece": 34.25, "brier": 0.512})
    assert "reliability.csv can't be read" in read(render(project.plan)).text
