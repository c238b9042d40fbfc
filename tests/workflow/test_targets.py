"""What can be asked for, and what runs again when something changes."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflow.conftest import snakemake

VIEWS = {"table", "probes", "analyses", "report", "all"}
"""What is written anew from the receipts, whatever has changed in params.yaml."""
EVIDENCE = {"probe", "analyse"}


def planned(project: Path, *arguments: str) -> set[str]:
    """The rules that a dry run would run."""
    done = snakemake(project, "--dry-run", *arguments)
    assert done.returncode == 0, done.stdout
    if "Nothing to be done" in done.stdout:
        return set()
    counts = re.search(r"^Job stats:\n.*\n-.*\n((?:\S+ +\d+\n)+)", done.stdout, re.MULTILINE)
    assert counts is not None, done.stdout
    return {line.split()[0] for line in counts[1].splitlines()} - {"total"}


def change(project: Path, scale: str, *path: str, to: Any) -> None:
    """Write another value into the project's params.yaml, as an override of a scale."""
    file = project / "params.yaml"
    data = yaml.safe_load(file.read_text())
    place = data["scales"][scale].setdefault("overrides", {})
    for key in path[:-1]:
        place = place.setdefault(key, {})
    place[path[-1]] = to
    file.write_text(yaml.safe_dump(data, sort_keys=False))


def test_there_is_a_target_for_each_row_and_column_and_for_the_table(empty: Path) -> None:
    targets = snakemake(empty, "--list-target-rules").stdout.split()
    params = yaml.safe_load((empty / "params.yaml").read_text())
    assert {f"row_{row}" for row in params["rows"]} <= set(targets)
    assert {"column_cls", "table", "probes", "analyses", "report", "all"} <= set(targets)


def test_a_row_outside_the_table_can_be_asked_for(empty: Path) -> None:
    assert planned(empty, "row_B-L") == {"generate", "prepare", "distill", "finetune", "evaluate", "row_B-L"}


def test_evidence_can_be_asked_for_by_itself(empty: Path) -> None:
    assert planned(empty, "probes") == {"generate", "prepare", "distill", "probe", "probes"}
    assert planned(empty, "analyses") == {"generate", "prepare", "distill", "analyse", "analyses"}
    assert planned(empty, "shifts") == {"generate", "prepare", "distill", "finetune", "shift", "shifts"}
    assert planned(empty, "adaptations") == {"generate", "prepare", "distill", "adapt", "adaptations"}


def test_a_bare_run_leaves_out_evidence_that_is_not_asked_for(fresh: Path) -> None:
    change(fresh, "demo", "build", "evidence", to=["analyses"])
    assert {"analyse", "analyses"} <= planned(fresh)
    assert not {"probe", "probes"} & planned(fresh)


def test_a_network_probed_besides_brings_table_and_page_up_to_date(built: Path) -> None:
    assert snakemake(built, "--cores", "2", "results/demo/probe/B-L/stage1/receipt.json").returncode == 0
    assert planned(built) == {"probes", "report", "all"}


def test_nothing_changed_is_nothing_to_do(built: Path) -> None:
    assert planned(built) == set()


@pytest.mark.parametrize(
    ("path", "value", "rules"),
    [
        (("recipes", "finetune", "asymmetric-B", "epochs"), 7, {"finetune", "evaluate"}),
        (("recipes", "finetune", "asymmetric", "select"), "best", {"evaluate"}),
        (("recipes", "pretrain", "asymmetric-B", "mask_ratio"), 0.5, {"distill", "finetune", "evaluate", *EVIDENCE}),
        (
            ("datasets", "digits", "embedded", "seed"),
            1,
            {"generate", "prepare", "distill", "finetune", "evaluate", *EVIDENCE},
        ),
        (("probes", "knn", "k"), [5], {"probe"}),
        (("analysis", "images"), 50, {"analyse"}),
        (("resources", "finetune", "any", "gpus"), 2, set()),
        (("execution", "states_kept"), 5, set()),
    ],
)
def test_a_changed_parameter_runs_only_what_uses_it(built: Path, path: tuple[str, ...], value: Any, rules: set[str]) -> None:
    change(built, "demo", *path, to=value)
    assert planned(built) == rules | VIEWS


def test_a_cell_measured_besides_brings_the_table_up_to_date(built: Path) -> None:
    assert snakemake(built, "--cores", "2", "row_B-L").returncode == 0
    assert planned(built) == {"table", "report", "all"}


def test_a_failed_job_shows_its_last_words(fresh: Path) -> None:
    done = snakemake(fresh, "--cores", "2", FAIL="prepare")
    assert done.returncode != 0
    assert "dbot prepare: the stand-in was told to fail" in done.stdout


def test_an_unknown_scale_is_one_line(empty: Path) -> None:
    done = snakemake(empty, "--dry-run", "--config", "scale=huge")
    assert done.returncode != 0
    assert "'huge'" in done.stdout
    assert "paper, released, released-demo, demo, demo-seeds, single-gpu" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_misspelt_key_does_not_plan_another_scale(empty: Path) -> None:
    done = snakemake(empty, "--dry-run", "--config", "scal=paper")
    assert done.returncode != 0
    assert "--config scal: is not a key; it takes scale=NAME" in done.stdout
    assert "Traceback" not in done.stdout


def test_snakemake_writes_a_page_of_its_own(built: Path) -> None:
    done = snakemake(built, "--report", "page.html")
    assert done.returncode == 0, done.stdout
    page = (built / "page.html").read_text()
    assert "in columns of their own" in page
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="https?:', page)
