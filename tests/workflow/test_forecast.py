"""A dry run ends with a forecast of what it lists; calibration is a target by itself."""

import re
import shlex
from pathlib import Path

from dbot import cli
from dbot.forecast.targets import targets
from dbot.params.load import load
from dbot.plan import Plan
from tests.workflow.conftest import snakemake
from tests.workflow.test_targets import change

FORECAST = re.compile(r"^Forecast of these (\d+) jobs: ", re.MULTILINE)


def test_a_dry_run_of_the_paper_ends_with_its_forecast(empty: Path) -> None:
    planned = snakemake(empty, "--dry-run", "--profile", "slurm").stdout
    found = FORECAST.search(planned)
    assert found is not None, planned[-2000:]
    assert int(found[1]) == len(Plan(load(empty / "params.yaml", "paper")).jobs())
    assert "GPU-hours on NVIDIA H100 SXM (assumed)" in planned[found.start() :]
    assert planned.rstrip().endswith("`dbot forecast --scale paper` says more")
    for row in load(empty / "params.yaml", "paper").params.build.rows:
        assert f"measure row {row}, column cls" in planned


def test_it_speaks_of_the_jobs_that_would_run_and_of_no_others(built: Path) -> None:
    assert FORECAST.search(snakemake(built, "--dry-run").stdout) is None  # nothing to be done
    change(built, "demo", "recipes", "finetune", "asymmetric-L", "epochs", to=7)
    found = FORECAST.search(snakemake(built, "--dry-run").stdout)
    assert found is not None
    assert int(found[1]) == 4  # the fine-tunings of L-L and its control, and their cells


def test_only_a_dry_run_speaks_of_it(fresh: Path) -> None:
    assert FORECAST.search(snakemake(fresh, "--cores", "1", "results/demo/prepare/digits/receipt.json").stdout) is None
    assert FORECAST.search(snakemake(fresh, "--dry-run", "nosuch").stdout) is None


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
