"""Who wrote the code and who put results into git: names that git has anyway, and no more than it has."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dbot.base import git


@dataclass(frozen=True)
class People:
    """Names from the history of the repository."""

    authors: dict[str, str] = field(default_factory=dict)
    """By commit, who wrote it."""
    committers: dict[Path, str] = field(default_factory=dict)
    """By receipt, whose commit brought it as it lies there."""


def people(commits: Iterable[str | None], receipts: Iterable[Path]) -> People:
    """Ask git; whatever it doesn't know is left out."""
    authors = {}
    for commit in sorted({commit for commit in commits if commit is not None}):
        name = git.ask("show", "--no-patch", "--format=%an", commit)
        if name is not None:
            authors[commit] = name
    paths = [path.as_posix() for path in receipts]
    changed = set((git.ask("diff", "--name-only", "--relative", "-z", "HEAD", "--", *paths) or "").split("\0"))
    committers: dict[Path, str] = {}
    # The newest commit first; each says its author, then the files that it changed.
    log = git.ask("-c", "core.quotePath=false", "log", "--relative", "--name-only", "--format=%x01%an", "--", *paths) or ""
    for part in log.split("\1")[1:]:
        name, *files = part.split("\n")
        for file in files:
            if file and file not in changed:
                committers.setdefault(Path(file), name)
    return People(authors, committers)
