"""The workflow is in Snakemake's own good order."""

import subprocess
from pathlib import Path

from tests.workflow.conftest import PROGRAMS, PROJECT, snakemake


def test_lint_finds_nothing(empty: Path) -> None:
    done = snakemake(empty, "--lint")
    assert done.returncode == 0, done.stdout


def test_format_is_snakefmts() -> None:
    done = subprocess.run([PROGRAMS / "snakefmt", "--check", "workflow"], cwd=PROJECT, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_the_snakefile_stays_short() -> None:
    assert len((PROJECT / "workflow" / "Snakefile").read_text().splitlines()) <= 62
