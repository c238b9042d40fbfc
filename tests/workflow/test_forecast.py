"""A dry run and the forecast of what it lists; calibration is a target by itself."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from dbot import cli
from dbot.forecast.work import targets
from dbot.jobs.kind import kinds
from dbot.params.load import load
from dbot.plan import Plan
from tests.workflow.conftest import PROJECT, snakemake

FORECAST = re.compile(r"^Forecast of (\d+) jobs of scale paper: ", re.MULTILINE)


def test_what_a_dry_run_of_the_paper_lists_is_forecast(
    empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    planned = snakemake(empty, "--dry-run", "--profile", "slurm").stdout
    monkeypatch.chdir(empty)
    assert cli.main(["forecast", "--scale", "paper", "--format", "summary"]) == 0
    said = capsys.readouterr().out
    found = FORECAST.search(said)
    assert found is not None, said
    listed = re.findall(r"^(\w+) +(\d+)$", planned.split("Job stats:")[1].split("total")[0], re.MULTILINE)
    assert int(found[1]) == sum(int(count) for rule, count in listed if rule.split("_")[0] in kinds())
    assert "GPU-hours on NVIDIA H100 SXM (assumed)" in said
    assert said.endswith("`dbot forecast --scale paper` says more\n")
    for row in load(empty / "params.yaml", "paper").params.build.rows:
        assert f"measure row {row}, column cls" in planned


def test_make_plan_is_a_dry_run_and_its_forecast() -> None:
    said = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "--old-file", ".venv/.installed", "plan", "SCALE=paper"],
        cwd=PROJECT,
        text=True,
        capture_output=True,
        check=True,
    ).stdout
    dry_run, price = said.splitlines()
    assert dry_run == "snakemake --dry-run --config scale=paper"
    program, verb, *flags = shlex.split(price)
    assert (program, verb) == ("dbot", "forecast")
    parsed = cli.parser(verb).parse_args(flags)
    assert (parsed.scale, parsed.format) == ("paper", "summary")


def test_calibration_is_a_target_that_nothing_needs(empty: Path) -> None:
    planned = snakemake(empty, "--dry-run", "--printshellcmds", "calibrate").stdout
    (line,) = re.findall(r"^Shell command: (.*) >> \S+ 2>&1$", planned, re.MULTILINE)
    program, verb, *flags = shlex.split(line)
    assert (program, verb) == ("dbot", "calibrate")
    parsed = cli.parser(verb).parse_args(flags)
    assert parsed.output == Path("results/demo/calibration.json")
    assert "rule calibrate" not in snakemake(empty, "--dry-run").stdout


def test_a_forecast_knows_the_targets_of_the_workflow(empty: Path) -> None:
    known = set(snakemake(empty, "--list-target-rules").stdout.split())
    assert set(targets(Plan(load(empty / "params.yaml", "demo")))) <= known
