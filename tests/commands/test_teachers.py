"""Networks that this project never names become teachers by params.yaml alone."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from dbot.cli import main
from dbot.params.source import read_yaml


def taught_by(project: Path, teacher: dict[str, Any]) -> None:
    """Make it the teacher of row B-CLIP, and a stage of it a matter of seconds."""
    file = project / "params.yaml"
    document = read_yaml(file).data
    overrides = document["scales"]["demo"]["overrides"]
    overrides["teachers"]["clip-B"] = {"data": "none", "licence": "none", **teacher}
    overrides["recipes"]["pretrain"]["symmetric"] |= {"epochs": 1, "warmup_epochs": 0, "batch_size": 10, "precision": "fp32"}
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    assert main(["generate", "--dataset", "digits"]) == 0
    assert main(["prepare", "--dataset", "digits"]) == 0


@pytest.mark.parametrize(
    ("model", "image_size"), [("swin_tiny_patch4_window7_224", 256), ("convnext_atto", 256), ("vit_small_patch14_reg4_dinov2", 112)]
)
def test_a_network_of_timm(project: Path, model: str, image_size: int, capsys: pytest.CaptureFixture[str]) -> None:
    taught_by(project, {"kind": "timm", "model": model, "weights": "random", "image_size": image_size, "projection": False})
    assert main(["distill", "--row", "B-CLIP", "--stage", "1"]) == 0
    receipt = project / "results/demo/distill/B-CLIP/stage1/receipt.json"
    assert f'"{model}"' in receipt.read_text()
    assert '"teacher_sha256"' in receipt.read_text()


@pytest.mark.parametrize(
    ("teacher", "said"),
    [
        (
            {"kind": "timm", "model": "convnext_atto", "weights": "random", "image_size": 128, "projection": False},
            "a grid of 4 patches a side, the student's on 8",
        ),
        (
            {"kind": "file", "path": "no-such-file.pth", "layout": None, "image_size": 32},
            "no-such-file.pth: can't be read",
        ),
    ],
)
def test_what_doesn_t_fit_is_said_before_training(
    project: Path, teacher: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    taught_by(project, teacher)
    capsys.readouterr()
    assert main(["distill", "--row", "B-CLIP", "--stage", "1"]) != 0
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line
    assert not (project / "results/demo/distill").exists() or not list((project / "results/demo/distill").rglob("*.safetensors"))
