"""The profiles are found, and say nothing that Snakemake doesn't know."""

import re
from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import PROJECT, snakemake

PROFILES = {
    file.parent.name: yaml.safe_load(file.read_text()) for file in sorted((PROJECT / "workflow" / "profiles").glob("*/config.yaml"))
}


@pytest.mark.parametrize(
    ("profile", "scale"),
    [
        ("slurm", "paper"),
        ("workflow/profiles/slurm-preemptible", "paper"),
        ("workflow/profiles/kubernetes", "paper"),
        ("workflow/profiles/local-gpu", "single-gpu"),
        ("workflow/profiles/demo", "demo"),
    ],
)
def test_a_profile_is_found_by_name_and_plans_its_scale(empty: Path, profile: str, scale: str) -> None:
    planned = snakemake(empty, "--dry-run", "--profile", profile)
    assert planned.returncode == 0, planned.stdout
    assert f"results/{scale}/table.csv" in planned.stdout
    assert not [other for other in ("paper", "single-gpu", "demo") if other != scale and f"results/{other}/" in planned.stdout]


def test_slurm_alone_is_found_by_its_name() -> None:
    """Snakemake looks for a profile at the top of the project and in the user's configuration, and nowhere else."""
    assert (PROJECT / "slurm").resolve() == PROJECT / "workflow" / "profiles" / "slurm"
    assert [path.name for path in PROJECT.iterdir() if path.is_symlink() and path.name in PROFILES] == ["slurm"]


def test_the_plan_says_what_each_job_asks_for(empty: Path) -> None:
    planned = snakemake(empty, "--dry-run", "--profile", "slurm").stdout
    assert "distill row B-B, stage 1 (4 node(s), 32 GPU(s) with some 9 GB taken of each, 480 GB, 1440 min;" in planned
    chunks = snakemake(empty, "--dry-run", "--profile", "workflow/profiles/slurm-preemptible").stdout
    assert "distill row B-B, stage 1 (4 node(s), 32 GPU(s) with some 9 GB taken of each, 480 GB, 240 min;" in chunks


def test_default_takes_nothing_from_another_profile() -> None:
    """Snakemake loads it besides the other, and lets each of its keys replace the other's."""
    others = {key for name, profile in PROFILES.items() if name != "default" for key in profile}
    assert not others & set(PROFILES["default"])


def test_a_wrong_key_of_a_site_is_one_line(fresh: Path) -> None:
    (fresh / "site.yaml").write_text("acount: us\n")
    said = snakemake(fresh, "--dry-run").stdout
    assert "site.yaml:1: acount is not a key: did you mean 'account'?" in said
    assert "Traceback" not in said


def test_a_sites_setup_comes_before_every_job(fresh: Path) -> None:
    (fresh / "site.yaml").write_text('setup: ["echo loaded >> setup.log"]\n')
    done = snakemake(fresh, "--cores", "2", "results/demo/prepare/digits/receipt.json")
    assert done.returncode == 0, done.stdout
    assert (fresh / "setup.log").read_text() == "loaded\n" * 2


def test_a_line_of_setup_that_fails_ends_the_job_and_is_named(fresh: Path) -> None:
    """Modules read variables that are not set, and braces are the shell's."""
    target = "results/demo/generate/digits/receipt.json"
    (fresh / "site.yaml").write_text('setup: ["echo ${NOT_SET} > first", "true  # a remark", "module load nosuch", "touch second"]\n')
    done = snakemake(fresh, "--cores", "1", target)
    assert done.returncode == 1
    assert "site.yaml: setup failed at: module load nosuch" in done.stdout
    assert (fresh / "first").exists()
    assert not (fresh / "second").exists()
    assert not (fresh / target).exists()


def test_snakemakes_last_lines_name_the_reason_and_the_log(fresh: Path) -> None:
    # Whether or not a bare `snakemake` would build it.
    for target, name in (("results/demo/prepare/digits/receipt.json", "prepare/digits"), ("column_det", "prepare/scenes-boxes")):
        said = snakemake(fresh, "--cores", "2", target, FAIL="prepare").stdout
        reason = f"{name} failed: dbot prepare: the stand-in was told to fail (log: logs/demo/{name}.log)"
        assert reason in said.splitlines()[-12:]


def test_every_entry_is_an_option_of_snakemake(empty: Path) -> None:
    options = snakemake(empty, "--help").stdout
    for name, profile in PROFILES.items():
        for key in profile:
            assert re.search(rf"--{key}(?![\w-])", options), f"{name}: {key}"


def test_no_rule_has_retries() -> None:
    """They would be spent inside the allocation that broke."""
    rules = [*(PROJECT / "workflow").rglob("*.smk"), PROJECT / "workflow" / "Snakefile"]
    assert not [file.name for file in rules if "retries:" in file.read_text()]
