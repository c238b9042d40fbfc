"""Sweeps: rows and recipes that params.yaml makes, what they share, and the numbers over their variants."""

import csv
import statistics
from pathlib import Path

import pytest

from dbot.base.errors import UserError
from dbot.cli import main
from dbot.lineage.judge import Judge
from dbot.params.load import load
from dbot.plan import Plan
from dbot.report import sweeps
from dbot.report.page import render
from tests.conftest import PROJECT
from tests.fabricated import Project
from tests.report.test_page import read

TOP1 = {"teachers-random-0": 50.0, "teachers-random-1": 60.0, "teachers-random-2": 70.0, "teachers-lite-1": 66.0, "teachers-lite-2": 71.0}


def measured(project: Project, *rows: str) -> sweeps.Swept:
    for row in rows:
        project.pretend(project.plan.evaluate(row, "cls", 0), top1=TOP1[row])
    return sweeps.build(project.plan, Judge(), "teachers")


def test_numbers_of_stages_share_one_chain(project: Project) -> None:
    plan = project.plan
    assert plan.finetune("teachers-lite-1", 0).inputs["start"] == plan.distill("teachers-lite-2", 1)
    assert plan.distill("teachers-lite-2", 2).inputs["teacher"] == plan.distill("teachers-lite-2", 1)
    # Nothing differs from B-B, so its students serve.
    assert plan.finetune("teachers-random-1", 0).inputs["start"] == plan.distill("B-B", 1)
    # What is a cell of the table already is that cell.
    assert plan.evaluate("teachers-random-0", "cls", 0) == plan.evaluate("B-scratch", "cls", 0)
    assert plan.evaluate("teachers-random-2", "cls", 0) == plan.evaluate("B-B", "cls", 0)
    names = [job.name for job in plan.jobs(plan.sweep("teachers"))]
    assert len(names) == len(set(names))
    assert sum(name.startswith("distill/") for name in names) == 4


def test_a_variants_figures_are_its_own_and_nothing_else_differs() -> None:
    params = load(PROJECT / "params.yaml", "paper").params
    ours, base = params.recipes.pretrain["mask-ratio-r90"].model_dump(), params.recipes.pretrain["asymmetric-B"].model_dump()
    assert {key for key in base if ours[key] != base[key]} == {"mask_ratio"}
    assert params.recipes.finetune["mask-ratio-r90"] == params.recipes.finetune["asymmetric-B"]
    assert params.rows["mask-ratio-r75-2"].recipe == "asymmetric-B"


def test_a_pretrained_teacher_is_fine_tuned_itself_at_stage_0() -> None:
    plan = Plan(load(PROJECT / "params.yaml", "paper"))
    job = plan.finetune("teachers-dino-0", 0)
    assert job.settings["teacher"]["model"] == "vit_base_patch16_224.dino"
    assert list(job.inputs) == ["data"]
    assert "teacher" in plan.detect("teachers-dino-0", 0).settings


def test_mean_and_deviation_wait_for_every_variant(project: Project) -> None:
    swept = measured(project, "teachers-random-1")
    assert swept.measured("random", 1, "cls") == 60.0
    assert swept.over_variants(1, "cls") == (None, None)
    swept = measured(project, *TOP1)
    assert swept.over_variants(1, "cls") == (63.0, pytest.approx(statistics.stdev([60, 66])))
    assert swept.over_variants(0, "cls") == (None, None), "EfficientNet is no student of ours"


def test_file_figure_and_page(project: Project) -> None:
    measured(project, *TOP1)
    assert main(["sweep", "--name", "teachers"]) == 0
    folder = Path("results/demo/sweeps")
    assert {path.name for path in folder.iterdir()} == {"teachers.csv", "teachers.svg", "teachers.png"}
    with (folder / "teachers.csv").open() as file:
        lines = {(line["variant"], line["stages"]): line for line in csv.DictReader(file)}
    assert lines["lite", "2"]["measured"] == "71.00"
    assert lines["all variants", "2"]["measured"] == "70.50"
    first = (folder / "teachers.svg").read_bytes()
    assert main(["sweep", "--name", "teachers"]) == 0
    assert (folder / "teachers.svg").read_bytes() == first
    page = read(render(project.plan))
    assert "Teacher kind by number of stages" in page.text
    assert "63.0 ± 4.2" in page.text
    assert "#lineage-teachers-lite-2-cls" in page.links
    assert {link.removeprefix("#") for link in page.links if link.startswith("#")} <= set(page.ids)
    assert "teachers-lite-2" not in {
        line["row"] for line in csv.DictReader((folder / "teachers.csv").open()) if line["variant"] == "random"
    }


def test_sweeps_stand_in_no_table_but_their_own(project: Project) -> None:
    assert not [row for row in project.plan.params.table_rows if row.startswith("teachers-")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("    row: B-B\n    variants:\n      - {name: anew", "    row: B-C\n    variants:\n      - {name: anew"),
            "sweeps.reinitialise.row is 'B-C': there is no row of that name",
        ),
        (
            ("    teacher: random-B\n    stages: {cls: 2, det: 3, seg: 3}", "    teacher: random-B\n    stages: seven"),
            "rows.B-B.stages is 'seven'",
        ),
        (("  mae-B:\n    kind: timm\n", "  mae-B: seven\n  mae-C:\n    kind: timm\n"), "teachers.mae-B is 'seven'"),
        (("name: r60", "name: r75"), "sweeps.mask-ratio.variants.1.name is 'r75': stands there twice"),
        (("{variant: mae, stages: 1", "{variant: maw, stages: 1"), "is 'maw': there is no variant of that name"),
        (("pretrain: {mask_ratio: 0.9}", "pretrain: {mask_ration: 0.9}"), "did you mean 'mask_ratio'"),
    ],
)
def test_mistakes_are_one_line(project: Project, change: tuple[str, str], said: str) -> None:
    with pytest.raises(UserError) as caught:
        project.reload(change, scale="paper")
    assert any(said in problem and problem.startswith("params.yaml:") for problem in caught.value.problems), caught.value.problems


def test_an_unknown_sweep_is_named(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--name", "teacher"]) == 2
    assert "there is no sweep of that name at scale demo; declared are: teachers, stage-lengths" in capsys.readouterr().err
