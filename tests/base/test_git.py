"""What is asked of git, and what is known without it."""

import subprocess
from pathlib import Path

import pytest

from dbot.base import git
from dbot.base.errors import UserError

NAME = "ein Bild ü.txt"


@pytest.fixture
def commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A repository with one commit is the current folder."""
    monkeypatch.chdir(tmp_path)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "a person")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "person@example.org")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / NAME).write_bytes(b"\r\n\0 bytes \n")
    (tmp_path / "kept" / "empty").touch()
    for command in (("init", "-q", "."), ("add", "."), ("commit", "-qm", "first")):
        subprocess.run(["git", *command], check=True)
    return git.demand("rev-parse", "HEAD", remedy="").strip()


def test_a_commit_that_is_there(commit: str) -> None:
    assert git.ask("rev-parse", "HEAD") == commit
    assert git.has_commit(commit)
    assert not git.has_commit("0" * 40)
    assert git.is_whole() is True


def test_bytes_come_as_they_are(commit: str) -> None:
    names = [f"{commit}:kept/{NAME}", "0" * 40, f"{commit}:kept/empty", f"{commit}:no such"]
    assert git.contents([*names, names[0]]) == {names[0]: b"\r\n\0 bytes \n", names[2]: b""}
    assert git.contents([]) == {}


def test_committed_is_what_lies_there_as_the_commit_has_it(commit: str) -> None:
    folder = Path("kept")
    assert git.committed(folder) == {folder / NAME, folder / "empty"}
    (folder / NAME).write_text("other")
    (folder / "new").touch()
    assert git.committed(folder) == {folder / "empty"}


def test_a_refusal_is_one_line_with_a_remedy(commit: str) -> None:
    with pytest.raises(UserError, match=r"^git rev-parse failed: fatal: .*; mend that$"):
        git.demand("rev-parse", "--verify", "no-such-branch", remedy="mend that")


def test_without_a_repository_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert git.ask("rev-parse", "HEAD") is None
    assert git.is_whole() is None
    assert git.committed(Path("results")) == set()


def test_without_git_nothing_is_known(commit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert git.ask("rev-parse", "HEAD") is None
    with pytest.raises(UserError, match="git can't be run"):
        git.demand("rev-parse", "HEAD", remedy="mend that")
