"""From a cell to the data."""

import json
from pathlib import Path

import pytest

from dbot.cli import main
from tests.fakes import FakeProject


@pytest.fixture
def measured(project: FakeProject) -> FakeProject:
    project.run_chain(project.plan.evaluate("B-B", "cls", "0"))
    return project


def test_a_cell_leads_to_the_data(measured: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lineage", "B-B/cls"]) == 0
    tree = capsys.readouterr().out
    lines = tree.splitlines()
    assert lines[0].startswith("evaluate row B-B column cls seed 0  [")
    assert "results   top1 50, images 2" in lines[1]
    for role in (
        "model: finetune row B-B seed 0",
        "start: distill row B-B stage 2",
        "teacher: distill row B-B stage 1",
        "generated: generate",
    ):
        assert tree.count(role) == 1
    assert "data set digits on photographs; licence: digits CC BY 4.0" in tree
    assert "student.safetensors  sha256 " in tree
    assert tree.count("(above)") == 3  # the prepared data behind fine-tuning and both stages
    for fact in ("software  ", "hardware  1 x cpu; ", "licence   teacher random: none"):
        assert fact in tree


@pytest.mark.parametrize(
    "target",
    [
        "results/demo/distill/B-B/stage1/receipt.json",
        "results/demo/distill/B-B/stage1/student.safetensors",
        "results/demo/distill/B-B/stage1",
    ],
)
def test_a_file_leads_to_the_data_as_well(measured: FakeProject, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lineage", target, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["targets"] == ["results/demo/distill/B-B/stage1/receipt.json"]
    assert [receipt["verb"] for receipt in found["receipts"].values()] == ["distill", "prepare", "generate"]
    assert {path: [each["receipt"] for each in ended] for path, ended in found["executions"].items()} == {
        path: [receipt["id"]] for path, receipt in found["receipts"].items()
    }


def test_the_table_leads_to_all_measured_cells(measured: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    Path("results/demo/table.csv").write_text("")
    assert main(["lineage", "results/demo/table.csv"]) == 0
    assert capsys.readouterr().out.startswith("evaluate row B-B")


def test_without_a_target_it_is_every_result(measured: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lineage", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["targets"] == ["results/demo/evaluate/B-B/cls/seed0/receipt.json"]


def test_a_cell_that_was_not_measured_is_one_line(measured: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lineage", "L-L/cls/seed0"]) == 2
    assert "results/demo/evaluate/L-L/cls/seed0/receipt.json: there is no such receipt" in capsys.readouterr().err
