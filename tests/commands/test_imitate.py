"""`dbot imitate`: files in the four published layouts, which `dbot fetch` takes over, trusts on first use and holds to."""

import json
from pathlib import Path

import pytest
import torch

from dbot.cli import main
from dbot.lineage import receipt as receipts
from dbot.models import checkpoint
from dbot.params.load import load
from dbot.plan import Plan

SCALE = "released-demo"
LAYOUTS = {
    "B-B-pre": "dbot-asymmetric",
    "B-CLIP-pre": "dbot-symmetric",
    "H448-H-finetuned": "vit-classifier",
    "H448-CLIP-finetuned": "beit-classifier",
}
FOLDER = Path("data/imitated")


@pytest.fixture
def plan(project: Path) -> Plan:
    """A project with one file of each layout, the others empty."""
    plan = Plan(load(Path("params.yaml"), SCALE))
    FOLDER.mkdir(parents=True)
    for name, declared in plan.params.released.files.items():
        if name not in LAYOUTS:
            (FOLDER / declared.file).touch()
    assert main(["imitate", "--scale", SCALE, "--output", str(FOLDER)]) == 0
    return plan


def fetch(name: str) -> int:
    return main(["fetch", "--scale", SCALE, "--released", name])


def test_its_files_are_laid_out_as_the_published_ones(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    files = plan.params.released.files
    for name, layout in LAYOUTS.items():
        with torch.serialization.safe_globals([__import__("argparse").Namespace]):
            content = torch.load(FOLDER / files[name].file, weights_only=True)
        assert {"model", "optimizer", "epoch", "args"} <= content.keys()
        marks = {
            "dbot-asymmetric": "decoder_predp.weight",
            "dbot-symmetric": "rel_pos_bias.relative_position_index",
            "vit-classifier": "fc_norm.weight",
            "beit-classifier": "blocks.0.attn.relative_position_index",
        }
        assert marks[layout] in content["model"]
        assert fetch(name) == 0, capsys.readouterr().err
        about = checkpoint.load(plan.fetch(name).folder / "model.safetensors")[1]
        assert about["layout"] == layout
        size = plan.params.architectures["H" if name.startswith("H448") else "B"].image_size
        assert about.get("image_size", size) == (2 * size if name.startswith("H448") else size)
    before = {path: path.stat().st_mtime_ns for path in FOLDER.iterdir()}
    assert main(["imitate", "--scale", SCALE, "--output", str(FOLDER)]) == 0
    assert before == {path: path.stat().st_mtime_ns for path in FOLDER.iterdir()}, "what is there stays"


def test_a_later_use_holds_to_the_first(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    job, path = plan.fetch("B-B-pre"), FOLDER / plan.params.released.files["B-B-pre"].file
    assert fetch("B-B-pre") == 0
    found, noted = receipts.read(job.receipt), job.folder / "first-use.json"
    assert found.results["trusted"] == "on first use"
    assert json.loads(noted.read_text()) == {
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": found.results["sha256"],
        "trusted": "on first use",
    }
    assert fetch("B-B-pre") == 0
    assert receipts.read(job.receipt).id == found.id
    path.write_bytes(path.read_bytes() + b"0")
    capsys.readouterr()
    assert fetch("B-B-pre") == 2
    said = capsys.readouterr().err
    assert said.startswith(f"dbot fetch: row B-B stops here: {path}: is ")
    assert said.count("\n") == 1


def test_one_that_is_cut_off_or_another_row_s_is_a_line_that_names_the_row(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    files = plan.params.released.files
    content = (FOLDER / files["H448-H-finetuned"].file).read_bytes()
    cases = {
        "H-H-finetuned": (content, "is a classifier of 64 px, and row H-H has one of 32; get the file of that row"),
        "L-L-finetuned": (content, "has width 80, where ViT-L (demo) has 64"),
        "B-L-finetuned": (content[:5000], "is cut off after 5000 bytes; fetch it again"),
        "B-H-finetuned": (b"", "is empty; fetch it again"),
        "B-H-pre": ((FOLDER / files["B-B-pre"].file).read_bytes(), f"is {files['B-B-pre'].file} byte for byte, so one of them is another"),
    }
    for name, (held, why) in cases.items():
        (FOLDER / files[name].file).write_bytes(held)
        capsys.readouterr()
        status, said = fetch(name), capsys.readouterr().err
        assert status == 2
        assert said.startswith(f"dbot fetch: row {name.removesuffix('-finetuned').removesuffix('-pre')} stops here: ")
        assert why in said
        assert not plan.fetch(name).receipt.exists()
        assert not (plan.fetch(name).folder / "first-use.json").exists()


def test_networks_of_a_scale_that_was_not_trained_are_asked_for(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["imitate", "--scale", SCALE, "--like", "demo", "--output", "made"]) == 2
    assert "and 84.5_dbot_base_pre.pth shall hold it; run first: dbot distill" in capsys.readouterr().err
