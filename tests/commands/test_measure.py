"""`dbot measure`: from one file and one folder to a table, CSV and JSON."""

import csv
import json
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image

from dbot.base.digest import file_digest
from dbot.cli import main
from dbot.models import checkpoint
from dbot.models.classifier import build_classifier
from tests.tasks.measuring.coloured import IDS
from tests.train.small import ARCHITECTURE


@pytest.fixture
def digits(project: Path) -> Path:
    """A set of two classes, with a classifier's checkpoint beside it."""
    for part, count in (("train", 25), ("val", 4)):
        for label, name in enumerate(("dark", "light")):
            (project / "set" / part / name).mkdir(parents=True)
            for number in range(count):
                Image.new("L", (20, 20), 100 * label + number + 50 * (part == "val")).save(project / "set" / part / name / f"{number}.png")
    torch.manual_seed(0)
    about = {"kind": "classifier", "design": "asymmetric", "pooling": "average", "image_size": 16, "classes": ["light", "other", "dark"]}
    network = build_classifier(ARCHITECTURE, 3, 16, "average")
    checkpoint.save(project / "model.safetensors", network.state_dict(), {**about, "architecture": ARCHITECTURE.model_dump()})
    return project / "set"


def test_a_checkpoint_of_ours_end_to_end(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--as", "cost", "cls", "knn", "linear", "fewshot", "--seconds", "0", "--output", "found"]
    for _ in range(2):  # the second time in place of the first
        assert main(["measure", "model.safetensors", "--data", "set", *asked]) == 0
    said = capsys.readouterr().out
    assert "set: 50 train, 8 validation images of 2 classes (layout imagefolder)" in said
    assert "classes matched by the names of the classes" in said
    assert "the data have 2 of the 3 classes; every output is looked at" in said
    with Path("found/measured.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    content = json.loads(Path("found/measured.json").read_text())
    assert [row["metric"] for row in rows] == [one["metric"] for one in content["findings"]]
    metrics = {(row["measure"], row["metric"]) for row in rows}
    assert {("cls", "top-1"), ("cls", "ECE"), ("cls", "Brier score"), ("knn", "top-1"), ("fewshot", "sd"), ("cost", "FLOPs")} <= metrics
    assert {row["images"] for row in rows if row["measure"] == "cls"} == {"8"}
    assert content["files"] == [{"path": "model.safetensors", "sha256": file_digest(Path("model.safetensors"))}]
    assert sum(content["reliability"]["images"]) == 8


def test_it_finds_what_the_evaluation_of_a_plan_finds(digits: Path, demo) -> None:
    from dbot.data.prepare import prepare
    from dbot.params.datasets import Dataset
    from dbot.tasks.classify import evaluate
    from tests.train.small import ALONE

    weights, _ = checkpoint.load(Path("model.safetensors"))
    network = build_classifier(ARCHITECTURE, 2, 16, "average").eval()
    for name in ("head.weight", "head.bias"):  # two outputs, in the order of the folders
        weights[name] = weights[name][[2, 0]]
    network.load_state_dict(weights)
    manifest = prepare("set", Dataset(title="set", root=str(digits)), Path("prepared"), Path("copy"), 1, 1e9)
    expected = evaluate(network, 256 / 224, 16, "fp32", manifest, demo.normalisation, ALONE, 4)
    assert main(["measure", "model.safetensors", "--data", "set", "--subset", "--output", "found"]) == 0
    found = {one["metric"]: one["value"] for one in json.loads(Path("found/measured.json").read_text())["findings"]}
    assert found["top-1"] == expected.top1
    assert (found["ECE"], found["Brier score"]) == (pytest.approx(expected.ece), pytest.approx(expected.brier))


def test_robustness_finds_out_which_set_it_is(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("0", "10", "2"):
        (project / "v2" / name).mkdir(parents=True)
        Image.new("RGB", (20, 20)).save(project / "v2" / name / "x.png")
    (project / "wordnet" / IDS[4]).mkdir(parents=True)
    Image.new("RGB", (20, 20)).save(project / "wordnet" / IDS[4] / "x.png")
    tiny = ["measure", "test_resnet", "--weights", "random", "--image-size", "32"]
    assert main([*tiny, "--data", "v2", "--as", "robustness"]) == 0
    assert "v2: measured as imagenet-v2" in capsys.readouterr().out
    assert main([*tiny, "--data", "wordnet", "--as", "imagenet-a"]) == 0
    assert "imagenet-a" in capsys.readouterr().out
    assert main([*tiny, "--data", "wordnet", "--as", "robustness"]) == 2
    assert "is none of the sets that are known by their folders" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.pth", "--data", "set"], "nowhere.pth: is neither a file, nor a folder in the form of timm's hub"),
        (["model.safetensors"], "--data is missing: --as cls measures on images"),
        (["model.safetensors", "--data", "nowhere"], "nowhere: is no folder"),
        (["model.safetensors", "--data", "set", "--as", "imagenet-a"], "has 3 outputs, and imagenet-a is for classifiers of ImageNet's"),
        (["model.safetensors", "--data", "set", "--batch", "0"], "--batch is 0: must be at least 1"),
        (["model.safetensors", "--data", "set", "--crop-pct", "2"], "--crop-pct is 2: must be above 0 and at most 1"),
        (["model.safetensors", "--data", "set", "--as", "knn", "--subset"], "--subset is given, and only --as cls uses it"),
        (["model.safetensors", "--data", "set", "--output", "set"], "set: exists and was not written by this command"),
        (["student.safetensors", "--data", "set"], "student.safetensors: has no classifier, which cls needs"),
        (["test_resnet", "--weights", "random", "--data", "set"], "nothing says which of the classifier's 1,000 outputs stands for 'dark'"),
    ],
)
def test_mistakes_are_one_line(digits: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    network = timm.create_model("vit_tiny_patch16_224", img_size=16, patch_size=4, embed_dim=16, depth=2, num_heads=2, num_classes=0)
    weights = {f"encoder.{name}": tensor for name, tensor in network.state_dict().items() if not name.startswith("fc_norm")}
    about = {"kind": "encoder", "design": "asymmetric", "architecture": {**ARCHITECTURE.model_dump(), "mlp_ratio": 4.0}}
    checkpoint.save(Path("student.safetensors"), weights, about)
    assert main(["measure", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1
