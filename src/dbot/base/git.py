"""Git, through its command line: the one place where it is started."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

from dbot.base.errors import UserError

SECONDS = 60.0
"""How long an answer may take."""


def ask(*arguments: str, seconds: float | None = SECONDS) -> str | None:
    """What git answers, without white space around it; None where there is no git, or it fails, or takes too long."""
    try:
        return _run(arguments, check=True, seconds=seconds).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def demand(*arguments: str, remedy: str) -> str:
    """What git prints, however long it takes.

    Raises:
        UserError: there is no git, or it fails; the line says why, and ends with the remedy.
    """
    try:
        done = _run(arguments, check=False, seconds=None)
    except OSError as error:
        raise UserError(f"git can't be run ({error}); install it") from None
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"status {done.returncode}"
        raise UserError(f"git {arguments[0]} failed: {reason}; {remedy}")
    return done.stdout


def _run(arguments: tuple[str, ...], check: bool, seconds: float | None) -> "subprocess.CompletedProcess[str]":
    # A name that isn't UTF-8 comes through as Python has it of files.
    command = ["git", *arguments]
    return subprocess.run(command, capture_output=True, check=check, timeout=seconds, encoding="utf-8", errors="surrogateescape")


def contents(names: Iterable[str]) -> dict[str, bytes]:
    """By name, the bytes of objects, as far as git has them."""
    wanted = list(dict.fromkeys(names))
    text = "".join(f"{name}\n" for name in wanted).encode()
    found, output, start = dict[str, bytes](), _batch(text), 0
    for name in wanted:
        end = output.index(b"\n", start)
        header, start = output[start:end], end + 1
        if not header.endswith((b" missing", b" ambiguous")):
            size = int(header.split()[2])
            found[name] = output[start : start + size]
            start += size + 1
    return found


def _batch(names: bytes) -> bytes:
    return subprocess.run(["git", "cat-file", "--batch"], input=names, capture_output=True, check=True).stdout


def has_commit(commit: str) -> bool:
    """Whether this repository has a commit."""
    return ask("cat-file", "-e", f"{commit}^{{commit}}") is not None


def committed(folder: Path) -> set[Path]:
    """Files below a folder that lie here as the last commit has them."""
    listed = ask("ls-tree", "-r", "-z", "--name-only", "HEAD", "--", folder.as_posix()) or ""
    changed = ask("diff", "--name-only", "--relative", "-z", "HEAD", "--", folder.as_posix()) or ""
    return {Path(name) for name in {*listed.split("\0")} - {*changed.split("\0")} if name}


def is_whole() -> bool | None:
    """Whether this repository has all of its history; None without git."""
    shallow = ask("rev-parse", "--is-shallow-repository")
    return None if shallow is None else shallow == "false"
