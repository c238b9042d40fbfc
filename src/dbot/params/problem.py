"""Something wrong in params.yaml that no type can tell."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dbot.params.source import KeyPath, Origin, dotted


@dataclass(frozen=True)
class Problem:
    """Something wrong at a key: what it is, and what would be right."""

    path: KeyPath
    what: str
    remedy: str


def one_of(path: KeyPath, value: str, known: Iterable[str], noun: str) -> Iterator[Problem]:
    """A problem if a name is none of those that are declared."""
    if value not in known:
        yield Problem(path, f"is {value!r}", f"there is no {noun} of that name; declared are: {', '.join(known) or 'none'}")


def lines(file: Path, origins: Mapping[KeyPath, Origin], problems: Iterable[Problem]) -> list[str]:
    """A line for each problem; one that several recipes inherit is said once."""
    found: dict[tuple[str, KeyPath, str, str], str] = {}
    for problem in problems:
        path = problem.path
        while path and path not in origins:
            path = path[:-1]
        origin = origins.get(path)
        where = f"{file}:{origin.line}" if origin else f"{file}"
        line = f"{where}: {dotted(problem.path)} {problem.what}: {problem.remedy}"
        found.setdefault((where, problem.path[-1:], problem.what, problem.remedy), line)
    return list(found.values())
