"""`dbot probe` and `dbot analyse` on a first teacher and on a student, as their rules call them."""

import json
from pathlib import Path

import pytest

from dbot.cli import main
from dbot.lineage import receipt as receipts
from dbot.lineage.judge import Judge, check
from dbot.params.load import load
from dbot.plan import Plan

SHORT = (
    ("holdout: 0.2", "holdout: 0.5"),  # two images of a class are there
    (
        "            epochs: 7\n            warmup_epochs: 1\n            batch_size: 16\n            decoder",
        "            epochs: 1\n            warmup_epochs: 0\n            batch_size: 10\n            decoder",
    ),
)


@pytest.fixture
def plan(project: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Plan:
    """A project whose data is prepared."""
    text = Path("params.yaml").read_text()
    for old, new in SHORT:
        assert text.count(old) == 1
        text = text.replace(old, new)
    Path("params.yaml").write_text(text)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/mlflow.db")
    for verb in ("generate", "prepare"):
        assert main([verb, "--dataset", "digits"]) == 0
    return Plan(load(Path("params.yaml"), "demo"))


def test_stage_0_is_the_very_network_that_taught_stage_1(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    for job in (plan.probe("B-B", 0), plan.distill("B-B", 1), plan.probe("B-B", 1), plan.analyse("B-B", 0), plan.analyse("B-B", 1)):
        assert main(job.arguments) == 0, capsys.readouterr().err
        check(Judge().of(job))
    taught = receipts.read(plan.distill("B-B", 1).receipt).results["teacher_sha256"]
    digests = {
        (verb, stage): receipts.read(plan.job(verb, row="B-B", stage=stage).receipt).results["network_sha256"]
        for verb in ("probe", "analyse")
        for stage in "01"
    }
    assert digests["probe", "0"] == digests["analyse", "0"] == taught
    assert digests["probe", "1"] == digests["analyse", "1"] != taught
    found = receipts.read(plan.probe("B-B", 1).receipt)
    assert {"knn_10", "knn_20", "linear", "linear_converged"} <= set(found.results)
    assert json.loads((plan.probe("B-B", 1).folder / "metrics.json").read_text())["linear"] == found.results["linear"]
    assert main(["probes"]) == main(["analyses"]) == main(["report"]) == 0


def test_a_teacher_with_more_pixels(plan: Plan) -> None:
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("probes:\n  image_size: null", "probes:\n  image_size: 48"))
    assert main(["probe", "--row", "B-B", "--stage", "0"]) == 0


def test_a_size_that_is_no_multiple_of_the_patch_is_one_line(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("probes:\n  image_size: null", "probes:\n  image_size: 33"))
    assert main(["probe", "--row", "B-B", "--stage", "0"]) == 2
    assert capsys.readouterr().err.strip() == "dbot probe: image_size is 33: must be a multiple of the patch size of row B-B, 4"
