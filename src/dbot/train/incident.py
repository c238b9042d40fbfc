"""A step whose loss or gradient was not finite: what has to be kept so that it can be done again.

Every draw of a step is a function of the seed and the step (see `dbot.base.seeds`), so the
state before it and its number are enough: no random state, batch or mask has to be stored.
"""

from dataclasses import dataclass
from pathlib import Path

from dbot.base.errors import UserError
from dbot.train.batches import Sample


@dataclass(frozen=True)
class Incident:
    """Where a training stopped being finite."""

    step: int
    """The first step whose loss or gradient was not finite: so many were taken before it."""
    epoch: int
    """From 1."""
    images: list[Sample]
    """The step's whole batch, over all processes and passes."""
    state: Path | None
    """The newest state before the step. None: there was none yet, and it began from the first weights."""
    world: int
    """Processes."""
    micro: int
    """Images in one forward pass of one process."""
    passed_over: list[int]
    """Steps that were passed over, by going back, until then."""


class NonFinite(UserError):
    """The loss or a gradient is not finite."""

    def __init__(self, problem: str, incident: Incident) -> None:
        super().__init__(problem)
        self.incident = incident
