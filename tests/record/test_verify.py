"""Whatever is changed behind a cell is found, and named."""

import json
from pathlib import Path

import pytest

from dbot.cli import main
from dbot.errors import UserError
from dbot.plan import Job
from dbot.record.verify import Verified, verify
from tests.fakes import FakeProject


@pytest.fixture
def chain(project: FakeProject) -> list[Job]:
    """A cell and all behind it, from the data on."""
    cell = project.plan.evaluate("B-B", "cls", "0")
    project.run_chain(cell)
    return project.plan.jobs([cell])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_an_untouched_chain_holds(chain: list[Job]) -> None:
    assert verify(chain) == Verified(receipts=6, files=11, images=4, kept=0)
    assert verify(chain, images=False).images == 0


@pytest.mark.parametrize(
    "path",
    [
        "results/demo/distill/B-B/stage1/student.safetensors",
        "results/demo/distill/B-B/stage1/metrics.csv",
        "results/demo/finetune/B-B/seed0/receipt.json",
        "results/demo/prepare/digits/manifest.json",
        "results/demo/prepare/digits/samples.tsv",
        "data/digits/train/0/1.png",
    ],
)
def test_one_flipped_bit_is_named(chain: list[Job], path: str, capsys: pytest.CaptureFixture[str]) -> None:
    flip(Path(path))
    assert main(["verify"]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"dbot verify: {path}: ")
    assert line.count("\n") == 1


def test_a_missing_image_is_named(chain: list[Job]) -> None:
    Path("data/digits/val/0/0.png").unlink()
    with pytest.raises(UserError, match=r"data/digits/val/0/0\.png: is missing"):
        verify(chain)


def test_changed_parameters_are_named(project: FakeProject, chain: list[Job], capsys: pytest.CaptureFixture[str]) -> None:
    project.set("label_smoothing: 0.1\n      head_init_std: 0.01", "label_smoothing: 0.2\n      head_init_std: 0.01")
    assert main(["verify", "B-B/cls"]) == 2
    assert "finetune/B-B/seed0/receipt.json: was made with recipe.label_smoothing = 0.1, now it is 0.2" in capsys.readouterr().err


def test_an_ancestor_that_ran_again_is_named(project: FakeProject, chain: list[Job]) -> None:
    before = json.loads(Path("results/demo/distill/B-B/stage1/receipt.json").read_text())
    project.run(project.plan.distill("B-B", "1"))
    after = json.loads(Path("results/demo/distill/B-B/stage1/receipt.json").read_text())
    assert before["id"] == after["id"]
    assert before["seal"] != after["seal"]
    with pytest.raises(UserError, match=r"stage2/receipt\.json: was made from another results/demo/distill/B-B/stage1/receipt\.json"):
        verify(chain)


def test_what_dvc_has_on_record_is_compared(chain: list[Job]) -> None:
    path = chain[2].folder / "student.safetensors"
    Path("dvc.lock").write_text(f"stages:\n  x:\n    outs:\n    - path: {path}\n      md5: {'0' * 32}\n")
    with pytest.raises(UserError, match=r"student\.safetensors: is not the file that dvc\.lock has on record"):
        verify(chain)


def test_targets_that_are_nothing_are_one_line(chain: list[Job], capsys: pytest.CaptureFixture[str]) -> None:
    for target in ("B-X/cls", "B-B/top1", "B-B/cls/0", "params.yaml"):
        assert main(["verify", target]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_nothing_measured_is_one_line(project: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify"]) == 2
    assert "no cell of the table has a receipt yet" in capsys.readouterr().err
