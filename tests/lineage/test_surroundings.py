"""What an execution says of the machine."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from dbot.lineage.executions import execution_of
from dbot.lineage.surroundings import code_of
from tests.fakes import FakeProject


def test_an_execution_says_on_what_machine_it_was(project: FakeProject) -> None:
    job = project.plan.generate("digits")
    hardware = execution_of(job.receipt, project.run(job).id).attempts[-1].hardware
    assert hardware is not None
    assert {"system", "processor", "cores", "memory_bytes"} <= hardware.keys()


def test_the_code_of_a_commit_is_found_in_a_project_inside_another_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inner/src/dbot").mkdir(parents=True)
    (tmp_path / "inner/src/dbot/a.py").write_text("A = 1\n")
    monkeypatch.chdir(tmp_path / "inner")
    for words in (["init", "-q", ".."], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one"]):
        subprocess.run(["git", *words], check=True)
    expected = hashlib.sha256(b"a.py\0" + hashlib.sha256(b"A = 1\n").digest()).hexdigest()
    assert code_of("HEAD") == expected
