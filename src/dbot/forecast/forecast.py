"""The forecast of a plan: what every job will take, what those that have run took, and how far off the forecast was."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil

from dbot.forecast import calibration
from dbot.forecast.calibration import Basis, Calibration, Rates
from dbot.forecast.work import Works
from dbot.jobs.work import Work
from dbot.lineage.executions import Execution
from dbot.lineage.judge import Judge
from dbot.memory import GIGA, USABLE
from dbot.params.scales import HardwareKind, Resources
from dbot.plan import Job, Plan

HOUR = 3600.0


@dataclass(frozen=True)
class JobForecast:
    """A job, what it will take, and what it took."""

    job: Job
    work: Work
    devices: int
    """That compute at the same time."""
    limit_minutes: int
    forecast: float | None
    """Wall seconds from its FLOPs or images. None: there is no telling."""
    basis: Basis
    """What the forecast is known from."""
    execution: Execution | None
    """Of the job that has run, and need not run again."""
    corrected: float | None = None
    """Wall seconds, for a job that has not run, once others of its rule have."""
    asked: Resources = field(default_factory=Resources)
    """What it asks for."""
    again: bool = False
    """Whether it is to be done even if it has run; then it will take what it took."""

    @property
    def done(self) -> bool:
        """Whether nothing of it is left."""
        return self.execution is not None and not self.again

    @property
    def forecast_hours(self) -> float | None:
        """Device-hours that were forecast."""
        return None if self.forecast is None else self.forecast * self.devices / HOUR

    @property
    def actual_hours(self) -> float | None:
        """Device-hours that it took."""
        return None if self.execution is None else self.execution.device_hours

    @property
    def seconds(self) -> float | None:
        """Wall seconds, by the best that is known."""
        if self.execution is not None:
            return self.execution.seconds
        return self.corrected if self.corrected is not None else self.forecast

    @property
    def hours(self) -> float | None:
        """Device-hours, by the best that is known."""
        if self.actual_hours is not None:
            return self.actual_hours
        return None if self.seconds is None else self.seconds * self.devices / HOUR

    @property
    def known_from(self) -> Basis:
        """What `seconds` and `hours` are known from."""
        if self.execution is not None:
            return Basis.MEASURED
        return Basis.CORRECTED if self.corrected is not None else self.basis

    @property
    def gpu_memory(self) -> float | None:
        """Bytes that it is estimated to keep on its GPU at most. None: it has none, or there is no telling."""
        if self.work.memory is None or not self.asked.gpus:
            return None
        return self.work.memory.peak(self.asked.batch, bool(self.asked.checkpointing))

    @property
    def allocations(self) -> int | None:
        """How many time limits it needs, one after the other."""
        return None if self.seconds is None else max(1, ceil(self.seconds / 60 / self.limit_minutes))


@dataclass(frozen=True)
class Sums:
    """Some jobs together."""

    name: str
    jobs: tuple[JobForecast, ...]

    @property
    def done(self) -> int:
        return sum(one.done for one in self.jobs)

    @property
    def images(self) -> int | None:
        """None: those of some job are not known."""
        counts = [one.work.images for one in self.jobs]
        return None if None in counts else sum(filter(None, counts))

    @property
    def flops(self) -> float:
        return sum(one.work.flops for one in self.jobs)

    @property
    def forecast_hours(self) -> float | None:
        """Device-hours of those that could be forecast; None: none could."""
        return _total(one.forecast_hours for one in self.jobs)

    @property
    def actual_hours(self) -> float | None:
        """Device-hours of those that have run."""
        return _total(one.actual_hours for one in self.jobs)

    @property
    def ratio(self) -> float | None:
        """Actual over forecast device-hours, of the jobs of which both are known."""
        both = [one for one in self.jobs if one.actual_hours is not None and one.forecast_hours]
        if not both:
            return None
        return sum(one.actual_hours or 0.0 for one in both) / sum(one.forecast_hours or 0.0 for one in both)

    @property
    def left_hours(self) -> float | None:
        """Device-hours of those that are left, corrected where that can be."""
        left = [one for one in self.jobs if not one.done]
        return 0.0 if not left else _total(one.hours for one in left)

    @property
    def hours(self) -> float | None:
        """Device-hours in all: taken and left."""
        return _total(one.hours for one in self.jobs)

    @property
    def allocations(self) -> int:
        """Time limits of the job that needs most of them."""
        return max((one.allocations or 0 for one in self.jobs), default=0)

    @property
    def checkpoints(self) -> int:
        """Bytes of their checkpoints."""
        return sum(one.work.checkpoints for one in self.jobs)

    @property
    def downloads(self) -> int:
        """Bytes that those that are left fetch from the network."""
        return sum(one.work.downloads for one in self.jobs if not one.done)

    @property
    def unknown(self) -> list[JobForecast]:
        """Those of which there is no telling how long they take."""
        return [one for one in self.jobs if one.hours is None]

    @property
    def known_from(self) -> list[Basis]:
        """What their times are known from, the best first."""
        found = {one.known_from for one in self.jobs}
        return [basis for basis in Basis if basis in found]


def _total(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


@dataclass(frozen=True)
class Forecast:
    """The forecast of some jobs of a plan."""

    plan: Plan
    jobs: tuple[JobForecast, ...]
    """Ancestors first."""
    calibration: Calibration

    @property
    def hardware(self) -> HardwareKind:
        return self.plan.params.hardware.kinds[self.plan.params.hardware.use]

    @property
    def unit(self) -> str:
        """What device-hours are called."""
        return "GPU-hours" if any(self.plan.resources(one.job).gpus for one in self.jobs) else "CPU-hours"

    @property
    def total(self) -> Sums:
        return Sums("all", self.jobs)

    @property
    def unfinished(self) -> "Forecast":
        """The forecast of the jobs that are left."""
        return replace(self, jobs=tuple(one for one in self.jobs if not one.done))

    @property
    def rules(self) -> list[Sums]:
        """By rule, in the order of their dependence."""
        verbs = dict.fromkeys(one.job.verb for one in self.jobs)
        return [Sums(verb, tuple(one for one in self.jobs if one.job.verb == verb)) for verb in verbs]

    @property
    def rows(self) -> list[Sums]:
        """By row: the jobs that carry its name, so that rows add up; jobs of data sets and of released files carry none."""
        names = [name for name in self.plan.params.rows if any(one.job.key.get("row") == name for one in self.jobs)]
        return [Sums(name, tuple(one for one in self.jobs if one.job.key.get("row") == name)) for name in names]

    @cached_property
    def _ends(self) -> dict[str, float]:
        """By job, seconds from the start of the first until its own end, with as many devices as there are jobs for."""
        ends: dict[str, float] = {}
        for one in self.jobs:
            begins = max((ends.get(needed.name, 0.0) for needed in one.job.inputs.values()), default=0.0)
            ends[one.job.name] = begins + (one.seconds or 0.0)
        return ends

    def chain(self, jobs: Sequence[JobForecast]) -> float:
        """Wall seconds of the longest chain of jobs that leads to one of these."""
        return max((self._ends[one.job.name] for one in jobs), default=0.0)

    @property
    def wall(self) -> float:
        """Wall seconds until all is done, at least: the longest chain, or all device-hours on the devices there are."""
        devices = self.plan.params.hardware.devices
        shared = 0.0 if devices is None else (self.total.hours or 0.0) * HOUR / devices
        return max(self.chain(self.jobs), shared)

    @property
    def state(self) -> int:
        """Bytes of the largest job's training states, while it runs."""
        return max((one.work.state * self.plan.params.execution.states_kept for one in self.jobs), default=0)

    @property
    def too_large(self) -> list[JobForecast]:
        """Jobs that are estimated not to fit the memory of a device, as far as that is stated."""
        room = (self.hardware.memory_gb or float("inf")) * USABLE * GIGA
        return [one for one in self.jobs if (one.gpu_memory or 0.0) > room]

    def money(self, hours: float | None) -> float | None:
        """The price of some device-hours; None: there is no price."""
        return None if hours is None or self.hardware.price is None else hours * self.hardware.price

    def energy(self, hours: float | None) -> float | None:
        """kWh of some device-hours; None: there is no power figure."""
        return None if hours is None or self.hardware.watts is None else hours * self.hardware.watts / 1000


def forecast(plan: Plan, targets: list[Job] | None = None, again: bool = False) -> Forecast:
    """Forecast some jobs (default: all that a bare `snakemake` builds) and all that they need, beside what they took where they have run.

    What is corrected is corrected by all jobs of the scale that have run, asked for or not.

    Args:
        plan: of a scale.
        targets: which jobs.
        again: count those that have run as left to do once more, as `snakemake --forceall` does them.
    """
    params = plan.params
    found = calibration.read(calibration.place(plan.scale))
    rates = Rates(params.hardware.kinds[params.hardware.use], found)
    works, judge = Works(plan), Judge()
    asked = plan.targets() if targets is None else targets
    wanted = {job.name for job in plan.jobs(asked)}
    jobs = plan.jobs([*plan.targets(), *asked])
    to_do = {job.name for job in judge.to_do(plan, asked)} | {job.name for job in jobs if not judge.of(job).state.holds}
    considered = [_one(plan, works, rates, job, None if job.name in to_do else judge.of(job).execution) for job in jobs]
    return Forecast(plan, tuple(replace(one, again=again) for one in _corrected(considered) if one.job.name in wanted), found)


def _one(plan: Plan, works: Works, rates: Rates, job: Job, ran: Execution | None) -> JobForecast:
    asked, work = plan.resources(job), works.of(job)
    devices = (asked.nodes or 1) * max(1, asked.gpus or 0)
    known = rates.seconds(job, work)
    seconds, basis = (None, Basis.UNKNOWN) if known is None else (rates.hardware.startup_seconds + known[0] / devices, known[1])
    return JobForecast(job, work, devices, asked.minutes or 1, seconds, basis, ran, asked=asked)


def _corrected(jobs: list[JobForecast]) -> Iterable[JobForecast]:
    """Jobs that have not run, with the times that others of their rule suggest."""
    by_rule: dict[str, list[JobForecast]] = {}
    for one in jobs:
        by_rule.setdefault(one.job.verb, []).append(one)
    for one in jobs:
        others = Sums(one.job.verb, tuple(by_rule[one.job.verb]))
        yield one if one.done or not others.done else replace(one, corrected=_correction(one, others))


def _correction(one: JobForecast, others: Sums) -> float | None:
    """Wall seconds by the ratio of actual to forecast; without forecasts, by the FLOPs or, where nothing is computed, by the jobs."""
    if one.forecast is not None and others.ratio is not None:
        return one.forecast * others.ratio
    ran = [other for other in others.jobs if other.done]
    hours = sum(other.actual_hours or 0.0 for other in ran)
    flops = sum(other.work.flops for other in ran)
    if one.work.flops and flops:
        return hours * HOUR / flops * one.work.flops / one.devices
    return None if one.work.flops or flops else hours * HOUR / len(ran) / one.devices
