"""The properties: numbers from the files on the receipts, two figures, and what there is none of."""

import csv
from pathlib import Path

import pytest

from dbot.cli import main
from dbot.lineage import receipt as receipts
from dbot.lineage.judge import Judge
from dbot.measure.insides import DISTANCES, SHARES, Insides, write_insides
from dbot.report import analyses
from dbot.report.page import render
from tests.fabricated import Project
from tests.report.test_page import read

INSIDE = Insides(distances=((10.0, 12.0), (8.0, 14.0)), shares=((0.2, 0.3), (0.25, 0.4)))


def analyse(project: Project, row: str, stage: int) -> None:
    job = project.plan.analyse(row, stage)
    for needed in job.inputs.values():
        if not needed.receipt.exists():
            project.pretend(needed)
    write_insides(job.folder, INSIDE)
    files = {name: receipts.artifact_of(job.folder / name) for name in (DISTANCES, SHARES)}
    project.write(job, dict.fromkeys(analyses.COLUMNS, 11.0), "cpu", 0.25, curve=False, artifacts=files)


def found(project: Project) -> dict[tuple[str, int], analyses.Analysed]:
    return {(line.network.row, line.network.stage): line for line in analyses.build(project.plan, Judge())}


@pytest.fixture
def analysed(project: Project) -> Project:
    analyse(project, "B-B", 0)
    analyse(project, "B-B", 2)
    analyse(project, "L-L", 1)
    return project


def test_numbers_are_those_of_the_files(analysed: Project) -> None:
    lines = found(analysed)
    assert lines["B-B", 2].insides == INSIDE
    assert lines["B-B", 1].insides is None
    assert lines["B-B", 1].problem == ""


def test_what_has_no_attention_is_not_missing(analysed: Project) -> None:
    lines = found(analysed)
    assert lines["L-L", 0].found is None
    assert "no attention by layer" in read(render(analysed.plan)).text


def test_files_that_are_not_those_on_the_receipt_are_not_shown(analysed: Project) -> None:
    path = analysed.plan.analyse("B-B", 2).folder / SHARES
    path.write_text(path.read_text().replace("0.4", "0.9"))
    line = found(analysed)["B-B", 2]
    assert line.insides is None
    assert f"{path}: is not the file on its receipt" in line.problem
    assert f"{path}: is not the file on its receipt" in read(render(analysed.plan)).text


def test_the_page_holds_both_figures_and_leads_to_the_jobs(analysed: Project) -> None:
    reader = read(render(analysed.plan))
    assert len([source for source in reader.loads if source.startswith("data:image/svg+xml;base64,")]) == 2
    assert "#job-analyse-B-B-stage2" in reader.links
    assert all(link[1:] in reader.ids for link in reader.links)
    assert len(set(reader.ids)) == len(reader.ids)
    assert "Not run: the analyses of B-L, B-H, B-CLIP, L-H, L-CLIP, H-H, H-CLIP, B-CLIP-absolute, L-CLIP-absolute." in reader.text


def test_without_analyses_there_is_no_figure(project: Project) -> None:
    assert read(render(project.plan)).loads == []


def test_the_verb_writes_numbers_and_figures(analysed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyses"]) == 0
    folder = Path("results/demo")
    for name in analyses.FIGURES:
        assert (folder / f"{name}.svg").read_text().startswith("<?xml")
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    with (folder / "analyses.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if (row["row"], row["stage"]) == ("B-B", "2")]
    assert [float(row["value"]) for row in rows] == [10.0, 12.0, 8.0, 14.0, 0.2, 0.3, 0.25, 0.4]
    assert [(row["layer"], row["number"]) for row in rows[-2:]] == [("1", "1"), ("1", "2")]
    assert "3 of" in capsys.readouterr().out


def test_nothing_to_draw_is_one_line(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyses"]) == 2
    assert capsys.readouterr().err.strip() == "dbot analyses: no network was analysed at this scale yet; run `snakemake analyses`"
