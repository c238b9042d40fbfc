"""Every shell block of README and guides that is marked `runnable` runs, on a finished demo.

DBOT_DEMO names a folder of the project in which `make demo` has run; it is copied, and left as it is. Without it a small demo is made.
A block of YAML that is marked with a file's name is written there first: the file that the page has a person write.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.e2e.project import SMALL, Copy

DOCUMENTS = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(?P<language>bash|yaml) runnable ?(?P<file>\S*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LEFT = (".venv", ".git", ".snakemake", "build", "tests", "benchmarks", "docs")
"""What a copy of a demo does without."""


@dataclass(frozen=True)
class Page:
    """The runnable blocks of a document, in their order."""

    name: str
    blocks: tuple[re.Match[str], ...]


PAGES = [Page(file.name, tuple(BLOCK.finditer(file.read_text()))) for file in DOCUMENTS]


def test_there_are_runnable_blocks() -> None:
    counts = {page.name: len(page.blocks) for page in PAGES if page.blocks}
    assert {"README.md", "tutorial.md", "weights.md", "scales.md"} <= set(counts)
    assert sum(counts.values()) > 10


def test_every_mark_is_understood() -> None:
    """A mark with a slip in it would be a block that nobody runs."""
    for file, page in zip(DOCUMENTS, PAGES, strict=True):
        assert len(re.findall(r"^```.*runnable", file.read_text(), re.MULTILINE)) == len(page.blocks), file.name


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the demo, or its row B-B, has run."""
    folder = tmp_path_factory.mktemp("documents") / "finished"
    if given := os.environ.get("DBOT_DEMO"):
        if not (Path(given) / "results" / "demo" / "evaluate").is_dir():
            pytest.skip(f"DBOT_DEMO is {given}: there is no finished demo in it; run `make demo` there")
        shutil.copytree(given, folder, symlinks=True, ignore=shutil.ignore_patterns(*LEFT))
        return folder
    copy = Copy.made(folder)
    copy.change({**SMALL, "build": {"rows": ["B-B"]}})
    copy.run("snakemake", "--cores", "2", "--config", "scale=demo", "--quiet", "reason", "host")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page.blocks], ids=lambda page: page.name)
def test_the_blocks_of_a_page_run(page: Page, finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "project", symlinks=True))
    home = tmp_path / "home"
    shutil.copytree(folder / "data" / "digits", home / "photos", ignore=shutil.ignore_patterns("*.json"))
    copy = Copy(folder)
    copy.env["HOME"] = str(home)
    for block in page.blocks:
        if block["language"] == "yaml":
            (folder / block["file"]).write_text(block["text"])
        else:
            copy.run("bash", "-euo", "pipefail", "-c", block["text"])
