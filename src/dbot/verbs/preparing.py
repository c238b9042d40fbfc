"""The edge of a preparation: its inputs, its outputs and its receipt."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbot.params.document import Params
from dbot.plan import Job, Plan
from dbot.record.execution import Execution, place

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class PreparationJob:
    """A preparation that is being done, as its kind sees it."""

    plan: Plan
    execution: Execution
    artifacts: list[str] = field(default_factory=list)

    @property
    def params(self) -> Params:
        return self.plan.params

    @property
    def job(self) -> Job:
        return self.execution.job

    @property
    def threads(self) -> int:
        return self.plan.resources(self.job).threads or 1

    def result(self, role: str, name: str) -> float | int | str:
        return self.execution.inputs[role].identity.results[name]

    def save(self, name: str, weights: "dict[str, Tensor]", about: dict[str, Any]) -> None:
        from dbot.models import checkpoint

        self.artifacts.append(name)
        checkpoint.save(self.execution.state / name, weights, about)
        place(self.execution.state / name, self.job.folder / name)

    def finish(self, results: Mapping[str, float | int | str]) -> None:
        self.execution.finish(self.artifacts, results)


@contextmanager
def preparing(plan: Plan, job: Job, inputs: dict[str, Path], receipt: Path | None) -> Iterator[PreparationJob]:
    """Everything around a preparation.

    Args:
        plan: of the job's scale.
        job: which.
        inputs: by role, the receipts to read.
        receipt: where its own is to go; None: its planned place.
    """
    with Execution(job, inputs, receipt=receipt) as execution:
        yield PreparationJob(plan, execution)
