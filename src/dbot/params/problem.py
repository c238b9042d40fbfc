"""Something wrong in params.yaml that no type can tell."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dbot.params.source import KeyPath


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
