"""The table of probes: a network of every stage, measured once, beside what fine-tuning made of it."""

import csv
import io
from pathlib import Path

from dbot.cli import main
from dbot.lineage.judge import Judge, State
from dbot.report import probes
from dbot.report.page import render
from dbot.report.probes import Probes
from dbot.report.table import build
from tests.fabricated import Project
from tests.report.test_page import read

FOUND = {"knn_10": 30.0, "knn_20": 31.5, "linear": 62.25, "linear_strength": 1e-3, "linear_held_out": 60.0, "linear_converged": 1.0}


def probe(project: Project, row: str, stage: int, **found: float) -> None:
    job = project.plan.probe(row, stage)
    for needed in job.inputs.values():
        if not needed.receipt.exists():
            project.pretend(needed)
    project.write(job, FOUND | found, "cpu", 0.25, curve=False)


def probed(project: Project) -> Probes:
    evidence = Judge()
    return probes.build(project.plan, evidence, build(project.plan, evidence))


def test_every_stage_of_every_row_has_a_line_its_teacher_first(project: Project) -> None:
    lines = [(line.network.row, line.network.stage) for line in probed(project).lines]
    assert lines[:4] == [("B-B", stage) for stage in range(4)]
    assert len(set(lines)) == len(lines)
    assert all(line.found.state is State.NOT_RUN for line in probed(project).lines)


def test_what_was_measured_stands_beside_the_fine_tuning_that_starts_from_it(project: Project) -> None:
    probe(project, "B-B", 0, linear=48.0)
    probe(project, "B-B", 2)
    project.pretend(project.plan.evaluate("B-B", "cls", 0), top1=70.0)
    lines = {(line.network.row, line.network.stage): line for line in probed(project).lines}
    assert lines["B-B", 2].values == {"knn_10": 30.0, "knn_20": 31.5, "linear": 62.25}
    assert lines["B-B", 0].values["linear"] == 48.0
    assert lines["B-B", 0].tuned is None
    tuned = lines["B-B", 2].tuned
    assert tuned is not None
    assert tuned.measured == 70.0


def test_a_teacher_that_is_another_rows_student_has_that_rows_numbers(project: Project) -> None:
    probe(project, "L-L", 3, linear=55.0)
    lines = {(line.network.row, line.network.stage): line for line in probed(project).lines}
    assert lines["B-L", 0].values["linear"] == lines["L-L", 3].values["linear"] == 55.0
    assert lines["B-L", 0].network.title == "teacher: L-L, stage 3"
    assert lines["L-CLIP", 0].found.job == project.plan.probe("B-CLIP", 0)


def test_a_stale_probe_has_no_number(project: Project) -> None:
    probe(project, "B-B", 1)
    project.reload(("strengths: [1.0e-1, 1.0e-2, 1.0e-3]", "strengths: [1.0e-1]"))
    line = probed(project).lines[1]
    assert (line.found.state, line.values) == (State.STALE, {})


def test_the_page_leads_from_a_number_to_its_job(project: Project) -> None:
    probe(project, "B-B", 1)
    page = render(project.plan)
    reader = read(page)
    assert "#job-probe-B-B-stage1" in reader.links
    assert "job-probe-B-B-stage1" in reader.ids
    assert "62.2" in reader.text
    assert "teacher: random patch embedding" in reader.text
    assert "Not run: the probes of B-L, B-H, B-CLIP, L-H, L-CLIP, H-CLIP, B-CLIP-absolute, L-CLIP-absolute." in reader.text


def test_the_file_has_a_line_for_each(project: Project) -> None:
    probe(project, "B-B", 1)
    assert main(["probes"]) == 0
    rows = list(csv.DictReader(io.StringIO(Path("results/demo/probes.csv").read_text())))
    assert len(rows) == len(probed(project).lines)
    assert [row["linear"] for row in rows[:3]] == ["", "62.25", ""]
    assert [row["status"] for row in rows[:3]] == ["not run", "measured", "not run"]
    assert rows[1]["linear_strength"] == "0.001"
    assert rows[1]["measured_as"] == "probe/B-B/stage1"
