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


@pytest.mark.slow
def test_loader(tmp_path: Path) -> None:
    from PIL import Image

    for number in range(3):
        Image.effect_noise((90, 70), 40).convert("RGB").save(tmp_path / f"{number}.jpg")
    found = page(tmp_path, "loader", "--images", str(tmp_path))
    assert "| ours, prepared |" in found
    assert "| ours, prepared as pixels |" in found
    assert str(tmp_path) not in found


@pytest.mark.slow
def test_workflow(tmp_path: Path) -> None:
    assert "nothing to do" in page(tmp_path, "workflow")
