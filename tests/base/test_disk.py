"""A disk that refuses."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dbot import cli
from dbot.base.disk import DiskRefused, patiently
from dbot.base.files import write_whole
from tests.conftest import PROJECT
from tests.params_text import params_text


class Refuses:
    """Does its work only after so many refusals."""

    def __init__(self, times: int, number: int = errno.ENOSPC) -> None:
        self.left = times
        self.number = number

    def __call__(self) -> str:
        if self.left:
            self.left -= 1
            raise OSError(self.number, os.strerror(self.number), "some/file")
        return "done"


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    taken: list[float] = []
    monkeypatch.setattr("dbot.base.disk.time.sleep", taken.append)
    return taken


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.ESTALE, errno.EDQUOT])
def test_what_comes_back_is_waited_for(pauses: list[float], number: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert patiently(Refuses(7, number), seconds=100) == "done"
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert capsys.readouterr().err.count("\n") == 7


def test_patience_ends_with_one_line(pauses: list[float]) -> None:
    with pytest.raises(DiskRefused) as caught:
        patiently(Refuses(99), seconds=10)
    assert str(caught.value) == "some/file: no space left on device; free some space, and run this again"
    assert sum(pauses) == 10


def test_what_waiting_does_not_mend_is_said_at_once(pauses: list[float]) -> None:
    with pytest.raises(DiskRefused, match="some/file: permission denied; mend its permissions"):
        patiently(Refuses(1, errno.EACCES), seconds=100)
    with pytest.raises(OSError, match="Bad file descriptor"):
        patiently(Refuses(1, errno.EBADF), seconds=100)
    assert pauses == []


def test_a_file_is_as_it_was_when_it_could_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a file"
    write_whole(path, b"before")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="a file"):
        write_whole(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_verb_says_it_in_one_line(tmp_path: Path) -> None:
    """A real limit on the size of files, as a full disk or quota would have it."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    command = [sys.executable, "-B", "-m", "dbot", "schema", "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, preexec_fn=limited)
    assert done.returncode == 2
    what = "file too large; raise the limit on the size of a file, and run this again"
    assert done.stderr == f"dbot schema: {tmp_path}/params.schema.json: {what}\n"
    assert list(tmp_path.iterdir()) == []


def a_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")


def a_folder(path: Path) -> None:
    path.mkdir(parents=True)


@pytest.mark.parametrize(
    ("lies", "path", "arguments", "said"),
    [
        (a_file, "results", ["table"], "results/demo: not a directory; a file lies where a folder should: move it away"),
        (a_folder, "out.csv", ["table", "--output", "out.csv"], "out.csv: is a folder, where a file is to be written; name a file"),
        (a_folder, "dvc.yaml", ["schema"], "dvc.yaml: is a directory; a folder lies where a file should"),
        (a_file, "schemas", ["schema", "--folder", "schemas"], "schemas: file exists; a file lies where a folder should"),
        (a_folder, "out", ["table", "--output", f"{'x' * 300}.csv"], "file name too long; give it a shorter name"),
        (a_folder, "out", ["verify", "x" * 5000], "file name too long; give it a shorter name"),
        (a_folder, "out", ["report", "--output", ".."], "..: is a folder, where a file is to be written; name a file"),
    ],
)
def test_what_lies_where_something_else_should_is_one_line(
    lies: Callable[[Path], None],
    path: str,
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(params_text())
    lies(tmp_path / path)
    assert cli.main(arguments) == 2
    assert said in (line := capsys.readouterr().err)
    assert line.count("\n") == 1


def test_other_errors_of_the_system_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(args: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr("dbot.commands.params.run", broken)
    with pytest.raises(OSError, match="Bad file descriptor"):
        cli.main(["params"])
