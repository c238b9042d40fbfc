"""Each benchmark program runs, at a size that says nothing of speed, and leaves its page."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT


def page(tmp_path: Path, program: str, *arguments: str) -> str:
    output = tmp_path / "page.md"
    command = [sys.executable, "-m", f"benchmarks.{program}", "--rounds", "1", "--output", str(output), *arguments]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return output.read_text()


@pytest.mark.slow
def test_step(tmp_path: Path) -> None:
    found = page(tmp_path, "step", "--sizes", "tiny", "--batches", "2", "--masks", "2", "--steps", "1")
    assert "| ViT-tiny | 2 | fp32 | ours |" in found
    assert "| ViT-tiny | 2 | fp32 | 2 masks |" in found
    assert str(tmp_path) not in found


def photographs(folder: Path, count: int) -> None:
    from PIL import Image

    for number in range(count):
        Image.effect_noise((90, 70), 40).convert("RGB").save(folder / f"{number}.jpg")


@pytest.mark.slow
def test_profile(tmp_path: Path) -> None:
    found = page(tmp_path, "profile", "--size", "tiny", "--batch", "2", "--steps", "1")
    assert "| student's decoder, forward |" in found
    assert "| `aten::addmm` |" in found


@pytest.mark.slow
def test_determinism(tmp_path: Path) -> None:
    found = page(tmp_path, "determinism", "--size", "tiny", "--batch", "2", "--precision", "fp32", "--steps", "4")
    assert "| true | the same bits | the same bits |" in found
    assert "| false | the same bits | the same bits |" in found  # on a CPU


@pytest.mark.slow
def test_dense(tmp_path: Path) -> None:
    found = page(tmp_path, "dense", "--size", "tiny", "--side", "32", "--proposals", "4")
    for task in ("detect", "segment"):
        assert f"| {task} | fp32 | training, plain |" in found
        assert f"| {task} | fp32 | inference |" in found


@pytest.mark.slow
def test_wait(tmp_path: Path) -> None:
    photographs(tmp_path, 3)
    found = page(tmp_path, "wait", "--images", str(tmp_path), "--sizes", "tiny", "--batch", "2", "--seconds", "0.1")
    assert "| ViT-tiny | short side 256 | 1 |" in found
    assert str(tmp_path) not in found


@pytest.mark.slow
def test_scaling(tmp_path: Path) -> None:
    sizes = ("--images", "32", "64", "--rows", "1", "2", "--shared-images", "64", "--epochs", "3")
    found = page(tmp_path, "scaling", *sizes)
    assert "| `dbot verify` |" in found
    assert "## Memory over epochs" in found
    assert "\n| 2 |" in found


@pytest.mark.slow
def test_state(tmp_path: Path) -> None:
    found = page(tmp_path, "state", "--sizes", "tiny", "--folder", str(tmp_path))
    assert "| ViT-tiny | 0.00 | copied |" in found
    assert str(tmp_path) not in found


@pytest.mark.slow
def test_loader(tmp_path: Path) -> None:
    photographs(tmp_path, 3)
    found = page(tmp_path, "loader", "--images", str(tmp_path))
    assert "| ours, prepared |" in found
    assert "| ours, prepared as pixels |" in found
    assert str(tmp_path) not in found


@pytest.mark.slow
def test_workflow(tmp_path: Path) -> None:
    assert "nothing to do" in page(tmp_path, "workflow")
