"""What `dbot` alone says: three commands for what is built here."""

from pathlib import Path

import pytest

from dbot.cli import main
from dbot.commands import welcome
from dbot.params.load import load
from dbot.plan import Plan
from tests.params_text import params_text


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    (tmp_path / "params.yaml").write_text(params_text())
    monkeypatch.chdir(tmp_path)
    return Plan(load())


def commands() -> list[str]:
    return [line.split("   ")[0].strip() for line in welcome.lines() if line.startswith("  ")]


def build(plan: Plan, most: int | None = None) -> None:
    for job in plan.jobs()[:most]:
        job.receipt.parent.mkdir(parents=True, exist_ok=True)
        job.receipt.write_text("{}")


def test_nothing_built(project: Plan) -> None:
    assert commands() == ["make demo", "snakemake -n", "dbot params --row B-B"]


def test_half_built(project: Plan) -> None:
    build(project, most=3)
    assert commands() == ["make demo", "dbot status", "snakemake -n"]
    assert f"0 of {len(project.targets())} results of scale demo are built." in welcome.lines()


def test_all_built(project: Plan) -> None:
    build(project)
    Path("results/demo/report.html").touch()
    assert commands() == ["results/demo/report.html", "dbot lineage B-B/cls", "dbot status"]


def test_another_scale_is_built_by_snakemake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_text(params_text().replace("\nscale: demo", "\nscale: paper"))
    monkeypatch.chdir(tmp_path)
    assert commands()[0] == "snakemake --cores all"


def test_it_is_short(project: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    said = capsys.readouterr().out
    assert len(said.splitlines()) <= 12
    assert "dbot --help" in said


def test_elsewhere_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([]) == 0
    assert "params.yaml: cannot be read" in capsys.readouterr().out
