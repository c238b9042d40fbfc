"""`dbot import`, `fetch`, `embed`, `export`: from a released file to a cell, and to timm."""

import json
import re
from pathlib import Path
from typing import Any

import numpy
import pytest
import timm
import torch
from PIL import Image

from dbot.cli import main
from dbot.distill.boundary import begin_stage
from dbot.lineage import receipt as receipts
from dbot.models import checkpoint
from dbot.models.classifier import build_classifier
from dbot.params.load import load
from dbot.plan import Plan
from tests.conftest import PROJECT
from tests.models.released.conftest import DATA
from tests.train.small import AS_THEY_ARE, RANDOM

FINETUNED = DATA / "official_layout_asymmetric_finetune.pth"
SYMMETRIC = DATA / "official_layout_symmetric_pre.pth"

RELEASED = """
      released:
        weights_folder: weights
        files:
          finetuned:
            file: ten.pth
            url: "http://127.0.0.1:9/ten.pth"
            sha256: null
            bytes: null
            layout: vit-classifier
            row: B-B
            licence: of the test
      rows:
        B-B: {teacher: null, stages: null, released: finetuned}
"""


@pytest.fixture
def four_heads(project: Path) -> Path:
    """The project with an architecture B that the official layouts are of."""
    text = (project / "params.yaml").read_text()
    assert text.count("width: 48, depth: 3, heads: 3") == 1
    (project / "params.yaml").write_text(text.replace("width: 48, depth: 3, heads: 3", "width: 48, depth: 3, heads: 4"))
    return project


@pytest.fixture
def images(project: Path) -> Path:
    (project / "images").mkdir()
    for i in range(3):
        Image.new("RGB", (40, 50), (80 * i, 9, 99)).save(project / f"images/{i}.png")
    (project / "images/broken.jpg").write_bytes(b"no")
    return project / "images"


def test_import_embed_and_export(four_heads: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(FINETUNED), "--output", "ours.safetensors", "--architecture", "B"]) == 0
    assert "wrote ours.safetensors: classifier of layout vit-classifier, 3 blocks of width 48, 4 heads" in capsys.readouterr().out
    about = checkpoint.load(Path("ours.safetensors"))[1]
    assert about["source"]["file"] == FINETUNED.name
    assert main(["embed", "ours.safetensors", "images", "--output", "features.npz", "--batch", "2"]) == 0
    said = capsys.readouterr().out
    assert "left out: images/broken.jpg: " in said
    assert "features of 3 images, 48 wide, pooled by average; 1 left out" in said
    with numpy.load("features.npz") as stored:
        assert (stored["features"].shape, stored["paths"].tolist()) == ((3, 48), ["0.png", "1.png", "2.png"])
        features = stored["features"]
    assert main(["embed", "ours.safetensors", "images", "--output", "features.parquet"]) == 0
    from pyarrow import parquet

    table = parquet.read_table("features.parquet")
    numpy.testing.assert_allclose(table["features"].to_pylist(), features, atol=1e-6)
    for _ in range(2):  # the second time in place of the first
        assert main(["export", "ours.safetensors", "--output", "exported"]) == 0
    documents = [(PROJECT / name).read_text() for name in ("README.md", "docs/weights.md")]
    (lines,) = {block for text in documents for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)}
    assert len([line for line in lines.splitlines() if line]) == 3
    done: dict[str, Any] = {}
    exec(lines, done)
    model = done["model"]
    assert done["transform"](Image.new("RGB", (40, 50))).shape == (3, 32, 32)
    ours = build_classifier(load(Path("params.yaml"), "demo").params.architectures["B"], 7, 32, "average").eval()
    ours.load_state_dict(checkpoint.load(Path("ours.safetensors"))[0])
    batch = torch.randn(2, 3, 32, 32)
    assert torch.equal(model(batch), ours(batch))
    card = Path("exported/README.md").read_text()
    assert 'timm.create_model("local-dir:exported", pretrained=True)' in card
    assert "weights that others released (official_layout_asymmetric_finetune.pth)" in card


def test_the_symmetric_student_is_embedded_and_exported_too(project: Path, images: Path) -> None:
    assert main(["import", str(SYMMETRIC), "--output", "s.safetensors"]) == 0
    assert main(["embed", "s.safetensors", "images", "--output", "s.npz", "--pool", "class_token"]) == 0
    assert main(["export", "s.safetensors", "--output", "exported"]) == 0
    assert timm.create_model("local-dir:exported", pretrained=True)(torch.zeros(1, 3, 32, 32)).shape == (1, 48)


def test_import_says_what_it_took_and_assumes_and_takes_what_is_stated(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    network = timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=32, depth=2, embed_dim=384, num_heads=12).eval()
    weights = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    averaged = {name: tensor + 1 for name, tensor in weights.items()}
    torch.save({"model": weights, "model_ema": averaged, "epoch": 3, "best": numpy.float64(76.1)}, "x.pth")
    assert main(["import", "x.pth", "--output", "x.safetensors"]) == 0
    first, second, third, last = capsys.readouterr().out.splitlines()
    assert first.startswith("x.pth: took the weights under model; there are others under model_ema (--weights, ")
    assert second == "x.pth: took off module., with which all names begin"
    assert third.startswith("x.pth: assumed, since no shape shows it: 6 heads (heads), GELU (activation), pixels normalised as ")
    assert "encoder of layout vit, 2 blocks of width 384, 6 heads, 16 px patches, 32 px" in last
    stated = [
        "--weights",
        "model_ema",
        "--heads",
        "12",
        "--activation",
        "gelu",
        "--mean",
        "0.5",
        "0.5",
        "0.5",
        "--std",
        "0.5",
        "0.5",
        "0.5",
    ]
    assert main(["import", "x.pth", "--output", "x.safetensors", *stated]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    taken, about = checkpoint.load(Path("x.safetensors"))
    assert torch.equal(taken["encoder.cls_token"], averaged["module.cls_token"])
    assert (about["architecture"]["heads"], about["normalisation"]["mean"]) == (12, [0.5] * 3)


@pytest.mark.parametrize("design", ["asymmetric", "symmetric"])
def test_an_exported_student_takes_other_sizes_and_another_head(project: Path, images: Path, design: str) -> None:
    params = load(Path("params.yaml"), "demo").params
    architecture = params.architectures["B"]
    recipe = params.recipes.pretrain[design].of_stage(1)
    student, _ = begin_stage(architecture, recipe, 1, RANDOM, AS_THEY_ARE)
    about = {"kind": "student", "design": design, "architecture": architecture.model_dump()}
    checkpoint.save(Path("student.safetensors"), student.state_dict(), about)
    assert main(["export", "student.safetensors", "--output", "exported"]) == 0
    assert main(["embed", "student.safetensors", "images", "--output", "features.npz"]) == 0
    model = timm.create_model("local-dir:exported", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    crops = torch.stack([transform(Image.open(images / f"{i}.png")) for i in range(3)])
    with torch.no_grad(), numpy.load("features.npz") as stored:
        numpy.testing.assert_allclose(model(crops).numpy(), stored["features"], atol=1e-5)
    size = architecture.image_size
    for side in (size, 2 * size, size // 2):
        other = timm.create_model("local-dir:exported", pretrained=True, img_size=side).eval()
        features = other(torch.zeros(1, 3, side, side))
        assert features.shape == (1, architecture.width)
        assert side != size or torch.equal(features, model(torch.zeros(1, 3, side, side)))
    headed = timm.create_model("local-dir:exported", pretrained=True, img_size=2 * size, num_classes=7)
    assert headed(torch.zeros(1, 3, 2 * size, 2 * size)).shape == (1, 7)
    assert torch.equal(headed.blocks[0].mlp.fc1.weight, model.blocks[0].mlp.fc1.weight)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["import", str(FINETUNED), "--output", "x.safetensors", "--heads", "0"], "--heads is 0: must be at least 1"),
        (["import", str(FINETUNED), "--output", "x.safetensors", "--mean", "0", "0", "0"], "--mean and --std go together"),
        (
            ["import", str(FINETUNED), "--output", "x.safetensors", "--weights", "ema"],
            "holds no weights under ema; there are some under model",
        ),
        (["import", str(FINETUNED), "--output", "x.safetensors"], "don't show how many heads it has; name an architecture"),
        (["import", str(FINETUNED), "--output", "x.pth"], "--output is x.pth: its name must end in .safetensors"),
        (
            ["import", str(FINETUNED), "--output", "x.safetensors", "--architecture", "G"],
            "--architecture is 'G': params.yaml declares B, L, H",
        ),
        (
            ["import", str(FINETUNED), "--output", "x.safetensors", "--layout", "beit"],
            "holds fc_norm.weight, which layout beit doesn't have",
        ),
        (["import", "nowhere.pth", "--output", "x.safetensors"], "nowhere.pth: can't be read"),
        (["embed", "nowhere.safetensors", ".", "--output", "x.npz"], "nowhere.safetensors: is not a checkpoint that can be read"),
        (["embed", "x.safetensors", ".", "--output", "x.csv"], "--output is x.csv: its name must end in .npz or .parquet"),
        (["embed", "x.safetensors", ".", "--output", "x.npz", "--batch", "0"], "--batch is 0: must be at least 1"),
        (["export", "params.yaml", "--output", "x"], "params.yaml: is not a checkpoint that can be read"),
        (["fetch", "--released", "C-C"], "there is no 'C-C' under `released.files`; declared are: B-B-pre, "),
    ],
)
def test_mistakes_are_one_line(project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not Path("x.safetensors").exists()


def test_a_folder_of_somebody_else_is_left_alone(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(SYMMETRIC), "--output", "s.safetensors"]) == 0
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("")
    assert main(["export", "s.safetensors", "--output", "mine"]) == 2
    assert "mine: exists and was not written by this command" in capsys.readouterr().err
    assert [path.name for path in Path("mine").iterdir()] == ["notes.txt"]


@pytest.fixture
def released(four_heads: Path) -> Path:
    """The project with a row that starts from a fine-tuned file of ten classes."""
    text = (four_heads / "params.yaml").read_text()
    head = "  demo:\n    title: tiny ViTs on the embedded data, every cell for real on 2 CPU cores in minutes\n    overrides:\n"
    assert text.count(head) == 1
    (four_heads / "params.yaml").write_text(text.replace(head, head + RELEASED.lstrip("\n")))
    (four_heads / "weights").mkdir()
    weights = torch.load(FINETUNED, weights_only=True)["model"]
    weights |= {"head.weight": torch.randn(10, 48), "head.bias": torch.zeros(10)}
    torch.save({"model": weights}, four_heads / "weights/ten.pth")
    return four_heads


def test_a_row_is_measured_from_released_weights(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan(load(Path("params.yaml"), "demo"))
    cell = plan.evaluate("B-B", "cls", 0)
    assert [job.verb for job in plan.jobs([cell])] == ["generate", "prepare", "fetch", "evaluate"]
    for job in plan.jobs([cell]):
        assert main(job.arguments) == 0, capsys.readouterr().err
    found = receipts.read(plan.fetch("finetuned").receipt)
    assert found.results["tensors"] == 44
    assert main(["table"]) == 0
    table = Path("results/demo/table.csv").read_text()
    assert "measured from released weights" in table
    assert "(released weights)" in Path("results/demo/table.md").read_text()
    assert main(["report"]) == 0
    assert "released weights" in Path("results/demo/report.html").read_text()
    assert main(["lineage", "B-B/cls"]) == 0
    assert "released weights ten.pth: of the test" in capsys.readouterr().out
    assert main(["verify", "B-B/cls"]) == 0

    assert main(["export", str(plan.fetch("finetuned").receipt), "--output", "exported"]) == 0
    card = Path("exported/README.md").read_text()
    measured, published = card.split("## Numbers measured with these weights")[1].split("## Numbers that others published")
    assert receipts.read(cell.receipt).id[:12] in measured
    assert "84.5" in published
    assert "84.5" not in measured
    assert "Weights of ten.pth: of the test." in card


def test_a_row_starts_from_the_entry_that_its_file_declares(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(
        text.replace("            layout: vit-classifier\n", "            layout: vit-classifier\n            entry: ema\n", 1)
    )
    weights = torch.load("weights/ten.pth", weights_only=True)["model"]
    averaged = {name: tensor + 1 for name, tensor in weights.items()}
    torch.save({"model": weights, "ema": averaged}, "weights/ten.pth")
    assert main(["fetch", "--released", "finetuned"]) == 0, capsys.readouterr().err
    taken, _ = checkpoint.load(Path("results/demo/fetch/finetuned/model.safetensors"))
    assert torch.equal(taken["head.bias"], averaged["head.bias"])
    assert "assumed" not in capsys.readouterr().out


def test_a_row_does_not_start_from_a_network_with_layer_scale(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = torch.load("weights/ten.pth", weights_only=True)["model"]
    scales = {f"blocks.{block}.ls{branch}.gamma": torch.ones(48) for block in range(3) for branch in (1, 2)}
    torch.save({"model": weights | scales}, "weights/ten.pth")
    assert main(["fetch", "--released", "finetuned"]) == 2
    assert "has layer scale that no student has; declare it under teachers, with kind: file" in capsys.readouterr().err


def test_a_download_that_was_cut_off_is_not_kept(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also one whose beginning and size show nothing: a pickle from before 2020."""
    content = torch.load("weights/ten.pth", weights_only=True)
    torch.save(content, "weights/ten.pth", _use_new_zipfile_serialization=False)
    whole = Path("weights/ten.pth").read_bytes()
    Path("data/released").mkdir(parents=True)
    Path("data/released/ten.pth").write_bytes(whole[:-100])
    Path("weights/ten.pth").unlink()
    assert main(["fetch", "--released", "finetuned"]) == 2
    err = capsys.readouterr().err
    assert "is damaged or cut off" in err
    assert err.count("\n") == 1
    assert not Path("data/released/ten.pth").exists()


def test_an_export_of_a_checkpoint_that_was_changed_is_refused(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "--released", "finetuned"]) == 0
    path = Path("results/demo/fetch/finetuned/model.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert main(["export", str(path), "--output", "exported"]) == 2
    assert "is not the file on its receipt" in capsys.readouterr().err
    assert not Path("exported").exists()


def test_a_prepared_data_set_is_no_network(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--dataset", "digits"]) == 0
    assert main(["export", "results/demo/generate/digits/receipt.json", "--output", "exported"]) == 2
    assert "wrote no network (generate)" in capsys.readouterr().err


def test_a_checkpoint_is_also_named_by_its_receipt_and_its_folder(released: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "--released", "finetuned"]) == 0
    folder = Path("results/demo/fetch/finetuned")
    found = []
    for name in (folder, folder / "receipt.json", folder / "model.safetensors"):
        assert main(["embed", str(name), str(images), "--output", "x.npz"]) == 0
        found.append(Path("x.npz").read_bytes())
    assert found[0] == found[1] == found[2]
    assert main(["embed", str(images), str(images), "--output", "x.npz"]) == 2
    assert f"{images}: is a folder, and no job's: it has no receipt.json" in capsys.readouterr().err


def test_config_is_what_timm_wants(project: Path) -> None:
    assert main(["import", str(SYMMETRIC), "--output", "s.safetensors"]) == 0
    assert main(["export", "s.safetensors", "--output", "exported"]) == 0
    config = json.loads(Path("exported/config.json").read_text())
    assert config["architecture"] == "beit_base_patch16_224"
    assert config["pretrained_cfg"]["mean"] == [0.485, 0.456, 0.406]
