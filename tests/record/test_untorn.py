"""DVC's lock file survives whatever cuts a commit off."""

import os
import signal
from pathlib import Path

import pytest

from dbot.record.untorn import BEFORE, READERS, untorn

LOCK = Path("dvc.lock")
WHOLE = "schema: '2.0'\nstages:\n  a: {cmd: b}\n"


@pytest.fixture
def lock_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    LOCK.write_text(WHOLE)
    return LOCK


def cut_off(file: Path) -> None:
    """A commit in another process, killed when the lock file is half written."""
    if (child := os.fork()) == 0:
        with untorn([file]):
            file.write_text("schema: '2.0'\nsta")
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_a_commit_that_ends_well_leaves_what_it_wrote(lock_file: Path) -> None:
    with untorn([lock_file]):
        lock_file.write_text("new")
    assert lock_file.read_text() == "new"
    assert not BEFORE.exists()


def test_a_commit_that_fails_leaves_what_was_there(lock_file: Path) -> None:
    def commit() -> None:
        with untorn([lock_file, Path("results/dvc.lock")]):
            lock_file.write_text("ne")
            Path("results").mkdir()
            Path("results/dvc.lock").write_text("ne")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        commit()
    assert lock_file.read_text() == WHOLE
    assert not Path("results/dvc.lock").exists()


def test_the_next_commit_begins_with_what_was_there(lock_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    READERS.parent.mkdir(parents=True)
    READERS.write_text('{"read": {')
    cut_off(lock_file)
    with untorn([Path("results/dvc.lock")]):
        assert lock_file.read_text() == WHOLE
        assert not READERS.exists()
    assert not BEFORE.exists()
    assert "was cut off; DVC's lock file is set back" in capsys.readouterr().out


def test_whole_notes_of_dvc_are_left_alone(lock_file: Path) -> None:
    READERS.parent.mkdir(parents=True)
    READERS.write_text('{"read": {}}')
    cut_off(lock_file)
    with untorn([lock_file]):
        assert READERS.read_text() == '{"read": {}}'
