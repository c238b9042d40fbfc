"""The profiles are found, and say nothing that Snakemake doesn't know."""

import re
from pathlib import Path

import yaml

from tests.workflow.conftest import PROJECT, snakemake

PROFILES = {
    file.parent.name: yaml.safe_load(file.read_text()) for file in sorted((PROJECT / "workflow" / "profiles").glob("*/config.yaml"))
}


def test_slurm_is_found_by_name_and_plans_the_paper(empty: Path) -> None:
    planned = snakemake(empty, "--dry-run", "--profile", "slurm")
    assert planned.returncode == 0, planned.stdout
    assert "results/paper/table.csv" in planned.stdout
    assert "results/demo" not in planned.stdout


def test_default_takes_nothing_from_another_profile() -> None:
    """Snakemake loads it besides the other, and lets each of its keys replace the other's."""
    others = {key for name, profile in PROFILES.items() if name != "default" for key in profile}
    assert not others & set(PROFILES["default"])


def test_every_entry_is_an_option_of_snakemake(empty: Path) -> None:
    options = snakemake(empty, "--help").stdout
    for name, profile in PROFILES.items():
        for key in profile:
            assert re.search(rf"--{key}(?![\w-])", options), f"{name}: {key}"


def test_no_rule_has_retries() -> None:
    """They would be spent inside the allocation that broke."""
    rules = [*(PROJECT / "workflow").rglob("*.smk"), PROJECT / "workflow" / "Snakefile"]
    assert not [file.name for file in rules if "retries:" in file.read_text()]
