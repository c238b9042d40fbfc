"""The works of a plan's jobs."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from dbot.forecast.images import counts
from dbot.jobs.work import Counts, Estimate, Work
from dbot.plan import Job, Plan


@dataclass(frozen=True)
class Works:
    """What each job of a plan has to do, as its kind estimates it."""

    plan: Plan
    aspect: float | None = None
    """Long over short side of all images. None: what is usual for each data set."""
    counts: Counts = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", counts(self.plan))

    def of(self, job: Job) -> Work:
        """What one job has to do."""
        return job.kind.work(Estimate(self.plan.params, self.counts, self.plan.resources(job), self.aspect), job)


def kinds(works: Works, jobs: Iterable[Job]) -> dict[str, Job]:
    """By kind of training, the first of some jobs that trains so."""
    found: dict[str, Job] = {}
    for job in jobs:
        if kind := works.of(job).kind:
            found.setdefault(kind, job)
    return found
