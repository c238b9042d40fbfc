"""The table at the end of a run: narrow enough for a terminal, and what it holds is the table's."""

import pytest

from dbot.lineage.judge import Judge
from dbot.report.table import build
from dbot.report.terminal import WIDEST, summary
from tests.fabricated import Project


def lines(project: Project) -> list[str]:
    return summary(build(project.plan, Judge())).splitlines()


def test_nothing_measured(project: Project) -> None:
    said = lines(project)
    assert max(map(len, said)) <= WIDEST
    assert any(line.startswith("B-B ") and line.count("not run") == 3 for line in said)
    assert "0 of 25 cells measured at scale demo, in %." in said
    assert "snakemake --cores all --config scale=demo -- column_cls column_det column_seg" in " ".join(said)


def test_measured_control_and_published_stand_beside_each_other(project: Project) -> None:
    project.reload(("seeds: [0]", "seeds: [0, 1, 2]"))
    for row, values in {"B-B": (60.0, 61.0, 65.0), "B-scratch": (40.0, 41.0, 42.0)}.items():
        for seed, value in enumerate(values):
            project.pretend(project.plan.evaluate(row, "cls", seed), top1=value)
    said = lines(project)
    assert max(map(len, said)) <= WIDEST
    (line,) = [line for line in said if line.startswith("B-B ")]
    assert line.split()[1:6] == ["62.0", "±", "2.6", "41.0", "84.5"]
    assert any("dbot lineage B-B/cls --scale demo" in text for text in said)


def test_a_row_that_lends_its_detector_stands_where_it_is_lent_to(project: Project) -> None:
    project.pretend(project.plan.evaluate("B-CLIP", "det", 0))
    assert [line.split()[0] for line in lines(project) if "CLIP" in line.split(" ")[0]] == ["B-CLIP", "L-CLIP", "H-CLIP", "H448-CLIP"]
    project.pretend(project.plan.evaluate("B-CLIP-absolute", "cls", 0), top1=40.0)
    (own,) = [line for line in lines(project) if line.startswith("B-CLIP-absolute")]
    assert own.split()[1] == "40.0"


@pytest.mark.parametrize("name", ["B-B", "a-row-with-a-name-that-is-much-longer-than-any-other"])
def test_it_stays_narrow_whatever_rows_are_called(project: Project, name: str) -> None:
    own = f"  {name}: {{title: X, architecture: B, from_scratch: true, recipe: asymmetric-B}}\n"
    if name != "B-B":
        project.reload(("  B-scratch: {", f"{own}  B-scratch: {{"))
        project.pretend(project.plan.evaluate(name, "cls", 0), top1=60.0)
    said = lines(project)
    assert max(map(len, said)) <= WIDEST
    assert any(line.startswith(name) for line in said)
