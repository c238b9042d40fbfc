"""Any change of what the receipts were written out to is found: the files are made again."""

from pathlib import Path

import pytest

from dbot.base.errors import UserError
from dbot.cli import main
from dbot.commands.verify import check_written
from tests.fabricated import Project
from tests.report.test_analyses import analyse

FILES = (
    *("table.csv", "table.md", "transfers.csv", "probes.csv", "analyses.csv", "report.html"),
    *(f"{stem}{suffix}" for stem in ("attention_distance", "singular_shares", "sweeps/teachers") for suffix in (".svg", ".png")),
    "sweeps/teachers.csv",
)


@pytest.fixture
def written(project: Project) -> Project:
    """Everything that is written from receipts."""
    project.pretend(project.plan.evaluate("B-B", "cls", 0), top1=70.0)
    project.pretend(project.plan.evaluate("teachers-lite-2", "cls", 0), top1=71.0)
    analyse(project, "B-B", 2)
    for verb in (["table"], ["transfers"], ["probes"], ["analyses"], ["sweep", "--name", "teachers"], ["report"]):
        assert main(verb) == 0
    return project


def test_each_changed_file_is_named(written: Project) -> None:
    folder = Path("results/demo")
    assert set(check_written(written.plan)) == {folder / name for name in FILES}
    for i, name in enumerate(FILES):
        path = folder / name
        content = path.read_bytes()
        others = (content[:-20] + bytes([content[-20] ^ 1]) + content[-19:], content + b"\n", content[: len(content) // 2])
        path.write_bytes(others[i % len(others)])
        with pytest.raises(UserError) as caught:
            check_written(written.plan)
        (line,) = caught.value.problems
        assert line.startswith(f"{path}:")
        assert f"--scale {written.plan.scale}` writes it anew" in line
        path.write_bytes(content)
    assert len(check_written(written.plan)) == len(FILES)


def test_what_is_not_there_is_not_made(project: Project) -> None:
    assert check_written(project.plan) == []
    assert not Path("results/demo").exists()
