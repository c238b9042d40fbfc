"""`dbot shift` and `dbot adapt` as their rules call them: what a job records is what `dbot measure` finds."""

import csv
import json
from pathlib import Path

import pytest

from dbot.cli import main
from dbot.jobs.adapt import FEW_SHOT, SEGMENTATION
from dbot.lineage import receipt as receipts
from dbot.lineage.executions import execution_of
from dbot.lineage.judge import Judge, check
from dbot.params.load import load
from dbot.plan import Plan

SHORT = (
    (
        "            epochs: 20\n            warmup_epochs: 2\n            batch_size: 32\n            evaluate_every: 10\n",
        "            epochs: 2\n            warmup_epochs: 0\n            batch_size: 4\n            evaluate_every: 2\n",
    ),
    ("label_fraction: 0.2 # 400 labels", "label_fraction: 1.0 # 400 labels"),
    ("image_size: 24, train: 1000, validation: 300", "image_size: 24, train: 12, validation: 8"),
    ("  images: [1, 5, 10]\n  draws: 5", "  images: [1, 2]\n  draws: 2"),
    ("style: corrupted, image_size: 32, train: 0, validation: 20", "style: corrupted, image_size: 32, train: 0, validation: 10"),
)


@pytest.fixture
def plan(project: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Plan:
    text = Path("params.yaml").read_text()
    for old, new in SHORT:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    Path("params.yaml").write_text(text)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/mlflow.db")
    return Plan(load(Path("params.yaml"), "demo"))


def run(plan: Plan, *jobs: object, capsys: pytest.CaptureFixture[str]) -> None:
    for job in plan.jobs(list(jobs)):  # type: ignore[arg-type]
        assert job.receipt.exists() or main(job.arguments) == 0, capsys.readouterr().err
        check(Judge().of(job))


def measured(folder: str, *arguments: str) -> list[dict[str, str]]:
    assert main(["measure", *arguments, "--output", folder]) == 0
    with Path(folder, "measured.csv").open() as file:
        return list(csv.DictReader(file))


def value(found: list[dict[str, str]], metric: str, part: str = "") -> float:
    (one,) = [line for line in found if line["metric"] == metric and line["part"] == part]
    return float(one["value"])


def test_every_shifted_set(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [plan.shift("B-scratch", name, 0) for name in plan.params.shift.sets]
    run(plan, *jobs, plan.evaluate("B-scratch", "cls", 0), capsys=capsys)
    results = {job.key["dataset"]: receipts.read(job.receipt).results for job in jobs}
    assert set(results["digits-v2"]) == {"top1", "top5", "validation_loss", "ece", "brier", "images"}
    assert set(results["digits-real"]) == {"top1", "top5", "images", "labels_sha256"}
    assert 100 < results["digits-real"]["images"] < 200, "those without a label are left out"
    corrupted = json.loads((jobs[-1].folder / "metrics.json").read_text())
    assert results["digits-c"]["images"] == 700
    assert sum(name.endswith(tuple(f"/{severity}" for severity in range(1, 6))) for name in corrupted) == 70
    assert corrupted["mce"] == pytest.approx(100 - corrupted["top1"]), "without a reference, the mean of the errors"
    checkpoint = str(plan.classifier("B-scratch", 0).folder / "last.safetensors")
    # The same classifier and images, without a plan.
    found = measured("v2", checkpoint, "--data", "data/digits-v2/val")
    assert value(found, "top-1") == pytest.approx(results["digits-v2"]["top1"])
    assert value(found, "ECE") == pytest.approx(results["digits-v2"]["ece"], abs=1e-4)
    found = measured("r", checkpoint, "--data", "data/digits-r/val", "--subset")
    assert value(found, "top-1") == pytest.approx(results["digits-r"]["top1"])
    assert value(found, "Brier score") == pytest.approx(results["digits-r"]["brier"], abs=1e-5)
    cell = receipts.read(plan.evaluate("B-scratch", "cls", 0).receipt)
    found = measured("cost", checkpoint, "--as", "cost", "--seconds", "0")
    assert value(found, "parameters") == pytest.approx(cell.results["parameters"] / 1e6)
    assert value(found, "FLOPs") == pytest.approx(cell.results["gflops"])
    speed = execution_of(plan.evaluate("B-scratch", "cls", 0).receipt, cell.id).images_per_second
    assert speed is not None
    assert speed > 0
    assert "images_per_second" not in cell.results
    assert main(["shifts"]) == main(["report"]) == 0


def test_a_linear_layer_on_a_first_teacher(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = {task: plan.adapt("B-B", task, 0) for task in (FEW_SHOT, SEGMENTATION)}
    run(plan, *jobs.values(), capsys=capsys)
    few, maps = (receipts.read(job.receipt).results for job in jobs.values())
    assert set(few) == {"few_1", "few_1_sd", "few_2", "few_2_sd", "network_sha256"}
    assert set(maps) == {"miou", "macc", "aacc", "network_sha256"}
    assert few["network_sha256"] == maps["network_sha256"]
    assert 0 <= float(maps["miou"]) <= float(maps["macc"]) <= 100
    assert jobs[SEGMENTATION].inputs["data"].key["dataset"] == "scenes-maps"
    assert main(["adaptations"]) == main(["report"]) == 0
