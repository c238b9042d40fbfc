"""The table tells measured from published numbers, whatever receipts there are."""

import csv
import io
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbot.lineage.judge import Judge, State
from dbot.params.load import load
from dbot.params.rows import COLUMNS
from dbot.plan import Plan
from dbot.report.files import csv_text, markdown
from dbot.report.page import render
from dbot.report.table import Line, Table, build
from dbot.report.terminal import summary
from dbot.report.words import reproductions, verdicts
from tests.fabricated import Project
from tests.few_rows import params_with_few_rows


def table(project: Project) -> Table:
    return build(project.plan, Judge())


def line(found: Table, name: str) -> Line:
    return next(line for line in found.lines if line.name == name)


def records(found: Table) -> dict[str, dict[str, str]]:
    return {record["row"]: record for record in csv.DictReader(io.StringIO(csv_text(found)))}


def test_rows_stand_in_the_published_order_then_the_controls(project: Project) -> None:
    found = table(project)
    names = project.plan.params.table_rows
    own = ["B-CLIP-absolute", "L-CLIP-absolute"]
    assert [line.name for line in found.published] == [name for name in names if not name.endswith("-scratch") and name not in own]
    assert [line.name for line in found.controls] == [name for name in names if name.endswith("-scratch")]
    assert [line.name for line in found.own] == own


def test_a_row_of_one_s_own_stands_apart(project: Project) -> None:
    project.reload(
        (
            "  B-scratch: {",
            "  mine: {title: X, architecture: B, from_scratch: true, recipe: asymmetric-B}\n  B-scratch: {",
        )
    )
    assert [line.name for line in table(project).own] == ["B-CLIP-absolute", "L-CLIP-absolute", "mine"]


@pytest.mark.parametrize(
    ("top1", "said"),
    [
        (84.41, "reproduced (-0.09 points; tolerance 0.1)"),
        (84.6, "reproduced (+0.10 points; tolerance 0.1)"),
        (84.38, "not reproduced (-0.12 points; tolerance 0.1)"),
        (86.0, "not reproduced (+1.50 points; tolerance 0.1)"),
    ],
)
def test_a_published_number_is_reproduced_within_the_tolerance(project: Project, top1: float, said: str) -> None:
    project.reload(scale="released")
    cell = project.plan.evaluate("B-B", "cls", 0)
    project.write(cell.inputs["data"], {"train": 1281167, "validation": 50000, "digest": "d1" * 32}, "cpu", 0.1, False)
    project.pretend(cell, top1=top1)
    found = table(project)
    record = records(found)["B-B"]
    assert (record["cls_images"], record["cls_reproduced"]) == ("50000", "yes" if said.startswith("rep") else "no")
    assert record["cls_status"] == "measured from released weights"
    assert f"- B-B: top-1 {top1:.1f} on 50,000 images, published 84.5: {said}." in markdown(found)
    assert len(reproductions(found)) == 1
    counted = f"{int(said.startswith('rep'))} of 1 published numbers are reproduced (points allowed: cls 0.1)."
    assert all(counted in text for text in (markdown(found), summary(found), render(project.plan)))
    assert said in render(project.plan)
    assert len(found.lines) == 11


def test_nothing_measured(project: Project) -> None:
    found = table(project)
    assert all(cell.measured is None for cell in found.cells)
    assert {cell.status for cell in found.cells} == {"not run"}
    record = records(found)["B-B"]
    assert (record["cls_measured"], record["cls_published"], record["cls_status"], record["det_status"]) == (
        "",
        "84.5",
        "not run",
        "not run",
    )
    assert (records(found)["H-H"]["det_status"], records(found)["H-H"]["det_published"]) == ("–", "")


def test_a_measured_cell(project: Project) -> None:
    made = project.pretend(project.plan.evaluate("B-B", "cls", 0), top1=61.25)
    cell = line(table(project), "B-B").cells["cls"]
    assert (cell.measured, cell.sd, cell.published, cell.status) == (61.25, None, 84.5, "measured")
    record = records(table(project))["B-B"]
    assert (record["cls_measured"], record["cls_seeds"], record["cls_receipt"]) == ("61.25", "1", made.id[:12])
    assert (record["scale"], record["data"], record["device"]) == (
        "demo",
        "pretrain digits; cls digits; det scenes-boxes; seg scenes-maps",
        "cpu",
    )
    assert (record["cpu_hours"], record["gpu_hours"]) == ("1.5000", "")


def test_several_seeds_are_their_mean_and_deviation(project: Project) -> None:
    project.reload(("seeds: [0]", "seeds: [0, 1, 2]"))
    for seed, value in enumerate((60.0, 61.0, 65.0)):
        project.pretend(project.plan.evaluate("B-B", "cls", seed), top1=value)
    cell = line(table(project), "B-B").cells["cls"]
    assert cell.measured == 62
    assert cell.sd == pytest.approx(7**0.5)
    assert " 62.0 ± 2.6 |" in markdown(table(project))


def test_a_missing_seed_is_said(project: Project) -> None:
    project.reload(("seeds: [0]", "seeds: [0, 1]"))
    project.pretend(project.plan.evaluate("B-B", "cls", 1), top1=60)
    cell = line(table(project), "B-B").cells["cls"]
    assert (cell.measured, cell.sd, cell.status) == (60, None, "measured (1 of 2 seeds: seed 0 not run)")
    assert cell.reasons == ["evaluate/B-B/cls/seed0 has not run"]


def test_a_stale_cell_shows_no_number(project: Project) -> None:
    project.pretend(project.plan.evaluate("B-B", "cls", 0), top1=61.25)
    project.reload(("label_fraction: 0.2", "label_fraction: 0.3"))
    cell = line(table(project), "B-B").cells["cls"]
    assert (cell.measured, cell.status, cell.state) == (None, "stale", State.STALE)
    assert records(table(project))["B-B"]["cpu_hours"] == ""
    assert "61.2" not in csv_text(table(project)) + markdown(table(project))


@pytest.mark.parametrize("results", [{}, {"top1": 130.0}, {"top1": -1}, {"top1": "high"}])
def test_an_evaluation_without_a_percentage_is_broken(project: Project, results: dict[str, float | int | str]) -> None:
    job = project.plan.evaluate("B-B", "cls", 0)
    project.pretend(job)
    project.write(job, results, device="cpu", hours=1, curve=False)
    cell = line(table(project), "B-B").cells["cls"]
    assert (cell.measured, cell.status) == (None, "broken")
    assert cell.reasons == ["results/demo/evaluate/B-B/cls/seed0/receipt.json: holds no top1 between 0 and 100"]


@pytest.mark.parametrize(
    ("scale", "change", "difference"),
    [
        ("demo", None, None),
        ("single-gpu", None, None),
        ("paper", None, 1.5),
        ("paper", ("source: image-net.org,", "limit: 300\n    source: image-net.org,"), None),
    ],
)
def test_a_difference_needs_the_published_data(
    project: Project, scale: str, change: tuple[str, str] | None, difference: float | None
) -> None:
    project.reload(*([change] if change else []), scale=scale)
    project.pretend(project.plan.evaluate("B-B", "cls", 0), top1=86.0)
    found = table(project)
    assert line(found, "B-B").cells["cls"].difference == difference
    assert records(found)["B-B"]["cls_difference"] == ("" if difference is None else "1.50")
    text = markdown(found)
    assert ("cls difference" in text) == (difference is not None)
    assert ("other data with other networks" in text) == (scale != "paper")
    assert ("measures cls on a part of those data" in text) == (change is not None)


def test_controls(project: Project) -> None:
    for row, value in {"B-B": 60.0, "B-scratch": 47.7, "H-H": 50.0, "H-scratch": 51.2, "L-L": 44.44, "L-scratch": 44.46}.items():
        project.pretend(project.plan.evaluate(row, "cls", 0), top1=value)
    found = table(project)
    assert line(found, "B-B").margin("cls") == pytest.approx(12.3)
    assert line(found, "B-L").margin("cls") is None
    record = records(found)["B-B"]
    assert (record["control"], record["cls_control"], record["cls_margin"]) == ("B-scratch", "47.70", "12.30")
    assert [sentence for sentence, _ in verdicts(found)] == [
        "B-B beats the same fine-tuning from random weights (B-scratch) by 12.3 points.",
        "L-L equals the same fine-tuning from random weights (L-scratch) to the digit shown.",
        "H-H falls short of the same fine-tuning from random weights (H-scratch) by 1.2 points.",
        "Not run yet, so not compared: B-B in det and seg, B-L, B-H, B-CLIP, L-L in det and seg, L-H, L-CLIP, H-CLIP, H448-H, "
        "H448-CLIP, B-CLIP-absolute and L-CLIP-absolute.",
    ]


def test_a_row_without_its_control_is_said_to_be(project: Project) -> None:
    project.pretend(project.plan.evaluate("B-B", "cls", 0))
    assert verdicts(table(project))[0] == (
        "B-B can't be set against the same fine-tuning from random weights (B-scratch): B-scratch is not run.",
        [],
    )


def test_markdown_is_aligned(project: Project) -> None:
    project.pretend(project.plan.evaluate("B-B", "cls", 0))
    project.reload(
        ("title: CLIP-B/16\n    architecture: B\n    recipe: symmetric-B\n", 'title: "a|b"\n    architecture: B\n    recipe: symmetric-B\n')
    )
    lines = [text for text in markdown(table(project)).splitlines() if text.startswith("|")]
    published = lines[: len(table(project).published) + 2]
    assert len({len(text) for text in published}) == 1
    assert len({text.replace("\\|", "").count("|") for text in published}) == 1


def test_the_caption_names_scale_data_commit_and_source(project: Project) -> None:
    project.pretend(project.plan.evaluate("B-B", "cls", 0))
    caption = markdown(table(project)).split("| row")[0]
    for part in ("`demo`", "digits on photographs", "commit 0123456789ab", "authors' README", "say nothing about ImageNet"):
        assert part in caption


def test_the_same_receipts_give_the_same_files(project: Project) -> None:
    project.pretend(project.plan.evaluate("B-B", "cls", 0))
    assert csv_text(table(project)) == csv_text(table(project))
    assert markdown(table(project)) == markdown(table(project))


KINDS = ("absent", "sound", "stale", "broken", "headless")
ROWS = ("B-B", "H448-H", "B-scratch")


@given(
    kinds=st.fixed_dictionaries({row: st.sampled_from(KINDS) for row in ROWS}),
    values=st.fixed_dictionaries({row: st.floats(0, 100).map(lambda v: round(v, 2)) for row in ROWS}),
    scale=st.sampled_from(["demo", "paper"]),
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_published_number_is_ever_measured(
    monkeypatch: pytest.MonkeyPatch, kinds: dict[str, str], values: dict[str, float], scale: str
) -> None:
    """Whatever receipts exist, a measured number is one that a sound receipt holds, and a published one is params.yaml's."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.chdir(folder)
        Path("params.yaml").write_text(params_with_few_rows())
        project = Project(Plan(load(Path("params.yaml"), scale)))
        for row, kind in kinds.items():
            job = project.plan.evaluate(row, "cls", 0)
            if kind != "absent":
                project.pretend(job, top1=values[row])
            if kind == "stale":
                changed = {**job.settings, "normalisation": {}}
                project.write(replace(job, settings=changed), {"top1": values[row]}, device="cpu", hours=1, curve=False)
            elif kind == "broken":
                content = json.loads(job.receipt.read_text())
                job.receipt.write_text(json.dumps({**content, "code": "0" * 64}))
            elif kind == "headless":
                project.plan.finetune(row, 0).receipt.unlink()
        found = table(project)
        written = records(found)
        for one in found.lines:
            for column in COLUMNS:
                cell, record = one.cells[column], written[one.name]
                stated = one.declared.published and getattr(one.declared.published, column)
                assert cell.published == stated
                assert record[f"{column}_published"] == ("" if stated is None else str(stated))
                sound = column == "cls" and kinds.get(one.name) == "sound"
                assert cell.measured == (values[one.name] if sound else None)
                assert record[f"{column}_measured"] == (f"{values[one.name]:.2f}" if sound else "")
                assert (record[f"{column}_status"] == "measured") == sound
        monkeypatch.undo()
