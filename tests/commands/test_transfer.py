"""`dbot transfer`, `dbot compare` and the fine-tuning of a teacher itself, as their rules call them."""

import csv
from pathlib import Path

import pytest

from dbot.cli import main
from dbot.jobs.compare import SIMILARITY
from dbot.lineage import receipt as receipts
from dbot.lineage.judge import Judge, check
from dbot.params.load import load
from dbot.plan import Plan

SHORT = (
    ("style: outlines, image_size: 32, train: 1000, validation: 500", "style: outlines, image_size: 32, train: 20, validation: 10"),
    (
        "            epochs: 7\n            warmup_epochs: 1\n            batch_size: 16\n            decoder",
        "            epochs: 1\n            warmup_epochs: 0\n            batch_size: 10\n            decoder",
    ),
    (
        "            epochs: 12\n            warmup_epochs: 2\n            batch_size: 32\n            pooling",
        "            epochs: 3\n            warmup_epochs: 0\n            batch_size: 10\n            pooling",
    ),
)


def plan_of(project: Path, monkeypatch: pytest.MonkeyPatch, *more: tuple[str, str]) -> Plan:
    text = Path("params.yaml").read_text()
    for old, new in (*SHORT, *more):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    Path("params.yaml").write_text(text)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/mlflow.db")
    return Plan(load(Path("params.yaml"), "demo"))


def test_a_student_on_a_set_of_its_own_length_and_beside_another(
    project: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_of(project, monkeypatch, ("  figures:\n    inat2018", "  figures:\n    outlines: {epochs: 2}\n    inat2018"))
    transfer, compare = plan.transfer("B-B", "outlines", 0), plan.compare("B-B", "teachers-random-1")
    for job in plan.jobs([transfer, compare]):
        assert main(job.arguments) == 0, capsys.readouterr().err
        check(Judge().of(job))
    found = receipts.read(transfer.receipt).results
    assert found["epochs"] == 2, "the set's own"
    assert found["top1"] == found["last_top1"]
    with (compare.folder / SIMILARITY[0]).open() as file:
        cka = {(line["layer_a"], line["layer_b"]): float(line["cka"]) for line in csv.DictReader(file)}
    assert len(cka) == 9
    assert all(0 <= value <= 1.0001 for value in cka.values())
    assert receipts.read(compare.receipt).results["cka_last_layer"] == cka["2", "2"]
    assert main(["transfers"]) == main(["report"]) == 0
    assert "teachers-random-1" not in Path("results/demo/transfers.csv").read_text()


def test_a_teacher_of_timm_is_fine_tuned_itself(
    project: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_of(
        project,
        monkeypatch,
        (
            "name: lite, title: EfficientNet-Lite0, teacher: clip-B, pretrain: {class_token_in_loss: false}",
            "name: vit, title: ViT, teacher: dino-B",
        ),
        (
            "B: {title: ViT-B (demo), image_size: 32, patch_size: 4, width: 48, depth: 3, heads: 3}",
            "B: {width: 192, heads: 3, image_size: 32}",
        ),
        (
            "model: vit_base_patch16_224.dino\n    weights: hub\n    image_size: 224",
            "model: vit_tiny_patch16_224\n    weights: random\n    image_size: 32",
        ),
        ("            taps: [0, 1, 2, 2]", "            taps: [3, 5, 7, 11]"),
        ("            taps: [0, 0, 1, 2]", "            taps: [3, 5, 7, 11]"),
        (
            "            epochs: 20\n            warmup_epochs: 2\n            batch_size: 32\n            evaluate_every",
            "            epochs: 1\n            warmup_epochs: 0\n            batch_size: 4\n            evaluate_every",
        ),
        ("blocks: {patches: 26, minimum: 4}\n            target", "blocks: {patches: 1, minimum: 1}\n            target"),
    )
    job = plan.finetune("teachers-vit-0", 0)
    for each in plan.jobs([job]):
        assert main(each.arguments) == 0, capsys.readouterr().err
    assert receipts.read(job.receipt).settings["teacher"]["model"] == "vit_tiny_patch16_224"
