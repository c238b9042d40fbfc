"""The minutes in which a GPU is lent: what is done in them, what is left for the next, and what packages come along."""

import importlib.metadata
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks import gpu
from benchmarks.gpu import Part
from tests.conftest import PROJECT

MISSING = (
    *("snakemake", "dvc", "mlflow", "scipy", "sklearn", "skimage", "matplotlib", "pycocotools", "faster_coco_eval", "transformers"),
    *("efficientnet_lite_pytorch", "shtab", "rocrate", "hypothesis", "xdist"),
)
"""Packages that a lent machine lacks, and that don't come along either."""
TINY = gpu.parts(["tiny"], "2", "fp32", None, None)


def part(name: str, how: str, seconds: int = 0) -> Part:
    return Part(name, "does it?", "tests.benchmarks.writes_page", (how,), seconds)


@pytest.fixture
def lent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Gives the exit status, what was said, and the pages there are, of some parts in so many minutes."""

    def run(parts: list[Part], minutes: str = "5", *more: str) -> tuple[int, str, list[str]]:
        monkeypatch.setattr(gpu, "parts", lambda *args: parts)
        monkeypatch.setattr(sys, "argv", ["gpu", "--cpu", "--minutes", minutes, "--output", str(tmp_path), *more])
        status = gpu.main()
        return status, capfd.readouterr().out, sorted(path.name for path in tmp_path.iterdir())

    return run


def test_a_part_that_fails_leaves_no_page_and_the_others_go_on(lent) -> None:
    status, said, pages = lent([part("one", "works"), part("two", "fails"), part("three", "works")])
    assert (status, pages) == (1, ["gpu-one.md", "gpu-three.md"])
    assert "two: failed after" in said


def test_started_again_it_goes_on_with_what_has_no_page(lent) -> None:
    parts = [part("one", "works"), part("two", "works", seconds=3600)]
    assert "two: not begun" in lent(parts)[1]
    status, said, pages = lent(parts, "120")
    assert (status, pages) == (0, ["gpu-one.md", "gpu-two.md"])
    assert "one: has a page" in said
    assert "one: done" in lent(parts, "120", "--again")[1]


def test_a_part_that_takes_too_long_is_cut_off(lent) -> None:
    status, said, pages = lent([part("one", "slow")], "0.05")
    assert (status, pages) == (1, [])
    assert "one: out of time after" in said


def test_wheels_serve_what_is_not_installed_alone(tmp_path: Path) -> None:
    for package in ("nowhere_to_be_found", "pytest"):
        with zipfile.ZipFile(tmp_path / f"{package}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{package}/__init__.py", "found = True\n")
            wheel.writestr(f"{package}-1.0.dist-info/METADATA", "")
    (folder,) = gpu.unpack(tmp_path, tmp_path / "unpacked")
    subprocess.run([sys.executable, "-c", "import nowhere_to_be_found"], env={"PYTHONPATH": folder}, check=True)


def requirements(names: Iterable[str]) -> set[str]:
    """Packages, and all that they require here."""
    found: set[str] = set()
    left = list(names)
    while left:
        if (name := canonicalize_name(left.pop())) not in found:
            found.add(name)
            wanted = [Requirement(line) for line in importlib.metadata.requires(name) or []]
            left += [one.name for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def test_what_the_wheels_require_is_among_them_or_comes_with_torch() -> None:
    (wheels,) = re.findall(r"^GPU_WHEELS := (.*)$", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    there = requirements(("torch", "torchvision", "timm", "safetensors", "numpy"))
    assert requirements(wheels.split()) - there <= {canonicalize_name(name) for name in wheels.split()}


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu"])
    assert gpu.main() == 2
    assert capsys.readouterr().err == "benchmarks.gpu: torch sees no GPU here; run it where there is one, or try it with --cpu\n"


def test_the_most_valuable_parts_come_first() -> None:
    names = [part.name for part in gpu.parts(["B", "L", "H"], "128", "bf16", None, Path("photographs"))]
    assert names == ["tests", "step-B", "determinism", "step-L", "forecast", "compiled-B", "fp8", "wait", "profile", "step-H"]


@pytest.mark.slow
@pytest.mark.parametrize("part", [pytest.param(part, id=part.name) for part in TINY if part.name != "compiled-tiny"])
def test_a_part_runs_with_what_a_lent_machine_has(part: Part, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({MISSING}))\n")
    paths = os.pathsep.join(map(str, (tmp_path, PROJECT / "src", PROJECT)))
    environment = {**os.environ, "PYTHONPATH": paths, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", part.module, *part.arguments, "--output", str(tmp_path / "page.md")]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("# ")
    assert "halted; None in sys.modules" not in page
