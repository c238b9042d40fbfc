"""What a check of a cluster found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "wrong", "?"]


@dataclass(frozen=True)
class Finding:
    """One line of what was found."""

    level: Level
    """``wrong``: jobs would be refused, wait for ever or be lost; ``warn``: worth knowing; ``?``: could not be asked."""
    what: str
    """What is so."""
    remedy: str | None = None
    """What to do."""

    def __str__(self) -> str:
        return f"{self.level:<5} {self.what}" + (f": {self.remedy}" if self.remedy else "")


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
