"""The edge of a preparation: its inputs, its outputs and its receipt."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbot.lineage.session import Session, place
from dbot.params.document import Params
from dbot.plan import Job, Plan
from dbot.versioning.keep import keep_at_once

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class PreparationJob:
    """A preparation that is being done, as its kind sees it."""

    plan: Plan
    session: Session
    artifacts: list[str] = field(default_factory=list)

    @property
    def params(self) -> Params:
        return self.plan.params

    @property
    def job(self) -> Job:
        return self.session.job

    @property
    def threads(self) -> int:
        return self.plan.resources(self.job).threads or 1

    def result(self, role: str, name: str) -> float | int | str:
        return self.session.inputs[role].results[name]

    def save(self, name: str, weights: "dict[str, Tensor]", about: dict[str, Any]) -> None:
        from dbot.models import checkpoint

        self.artifacts.append(name)
        checkpoint.save(self.session.state / name, weights, about)
        place(self.session.state / name, self.job.folder / name)

    def finish(self, results: Mapping[str, float | int | str]) -> None:
        self.session.finish(self.artifacts, results)
        if self.job.kind.kept:
            keep_at_once(self.job)


@contextmanager
def preparing(plan: Plan, job: Job, inputs: dict[str, Path], receipt: Path | None) -> Iterator[PreparationJob]:
    """Everything around a preparation.

    Args:
        plan: of the job's scale.
        job: which.
        inputs: by role, the receipts to read.
        receipt: where its own is to go; None: its planned place.
    """
    with Session(job, inputs, receipt=receipt) as session:
        yield PreparationJob(plan, session)
