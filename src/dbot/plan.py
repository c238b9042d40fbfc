"""The jobs that a target needs: cells of the table, the evidence beside it, sweeps; and what each job asks for.

Snakemake's rules, the command line, the judge, dvc.yaml and the table all ask here, so they can't disagree.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from dbot.base.errors import UserError
from dbot.jobs import distill, finetune
from dbot.jobs.adapt import ADAPT, TASKS
from dbot.jobs.analyse import ANALYSE
from dbot.jobs.compare import COMPARE
from dbot.jobs.distill import DISTILL
from dbot.jobs.evaluate import EVALUATE
from dbot.jobs.experiment import Experiment
from dbot.jobs.kind import METRICS, MODEL, RECEIPT, RESULTS, Job, Kind, kinds
from dbot.jobs.probe import PROBE
from dbot.jobs.shift import SHIFT
from dbot.jobs.transfer import TRANSFER
from dbot.jobs.work import Estimate
from dbot.memory import GIGA, Footprint
from dbot.params.rows import Column
from dbot.params.scales import Resources
from dbot.params.section import Problem, lines
from dbot.params.sweeps import row_name

__all__ = ["CALIBRATE", "METRICS", "MODEL", "RECEIPT", "RESULTS", "Job", "Plan"]

CALIBRATE = "calibrate"
"""A rule that is no job of a plan, though it asks for a machine like one."""


@dataclass(frozen=True)
class Plan(Experiment):
    """All jobs of one scale, each made when it is asked for, and which of them a target needs.

    Raises:
        UserError: the parameters name kinds of job that there are not.
    """

    def __post_init__(self) -> None:
        if problems := list(self._unknown_kinds()):
            raise UserError(*lines(self.resolved.file, self.resolved.origins, problems))

    def __getattr__(self, name: str) -> Callable[..., Job]:
        """``plan.distill("B-B", 1)``: the job of a kind, by the values of its key in their order."""
        if name not in kinds():
            raise AttributeError(f"Plan has no {name}, and there is no kind of job of that name")
        return partial(self.job, kinds()[name])

    def job(self, kind: Kind | str, *values: str | int, **key: str | int) -> Job:
        """The job of a kind (or of the rule of that name), by the values of its key.

        Raises:
            UserError: there is no such kind, row, stage, data set or column.
        """
        if isinstance(kind, str):
            if kind not in kinds():
                raise UserError(f"there is no kind of job {kind!r}; there are: {', '.join(kinds())}")
            kind = kinds()[kind]
        return kind.declare(self, *values, **key)

    def student(self, row: str, stage: str | int) -> Job:
        """What leaves a row's student: a stage of its distillation, or the released file that stands in for all of them."""
        return distill.student(self, row, stage)

    def classifier(self, row: str, seed: str | int) -> Job:
        """What leaves a row's classifier: its fine-tuning, or the fine-tuned file that stands in for it."""
        return finetune.classifier(self, row, seed)

    def cells(self, rows: list[str] | None = None, columns: list[Column] | None = None) -> list[Job]:
        """The evaluations that the target `table` needs, or those of the given rows and columns, controls included."""
        wanted = [
            (row, column)
            for row in self._with_controls(rows)
            for column in (self.params.build.columns if columns is None else columns)
            if column in self.params.columns(row)
        ]
        # A cell that is another row's is compared with that row's control.
        controls = [(self.params.control(row, column), column) for row, column in wanted]
        wanted += [(control, column) for control, column in controls if control is not None and column in self.params.columns(control)]
        return [self.job(EVALUATE, row, column, seed) for row, column in dict.fromkeys(wanted) for seed in self.params.build.seeds]

    def transfers(self, rows: list[str] | None = None) -> list[Job]:
        """The transfers of the table's rows, or of the given ones, controls included, to every set."""
        return [
            self.job(TRANSFER, row, dataset, seed)
            for row in self._with_controls(rows)
            if self.is_transferred(row)
            for dataset in self.params.transfer.sets
            for seed in self.params.build.seeds
        ]

    def shifts(self, rows: list[str] | None = None) -> list[Job]:
        """The classifiers of the table's rows, or of the given ones, controls included, on every set that is shifted from their own."""
        found = [
            self.job(SHIFT, row, dataset, seed)
            for row in self._with_controls(rows)
            for dataset in self.params.shift.sets
            for seed in self.params.build.seeds
        ]
        return list({job.name: job for job in found}.values())

    def probes(self, rows: list[str] | None = None) -> list[Job]:
        """The probes of every network that the table's rows, or the given ones, come from."""
        return [self.job(PROBE, row, stage) for row, stage in self._networks(rows)]

    def adaptations(self, rows: list[str] | None = None) -> list[Job]:
        """Of the same networks, what a linear layer makes of few labelled images, and of label maps."""
        return [self.job(ADAPT, row, task, stage) for row, stage in self._networks(rows) for task in TASKS]

    def analyses(self, rows: list[str] | None = None) -> list[Job]:
        """The analyses of these networks, as far as they can be analysed."""
        return [self.job(ANALYSE, row, stage) for row, stage in self._networks(rows) if self.has_attention(row, stage)]

    def comparisons(self, rows: list[str] | None = None) -> list[Job]:
        """The table's rows, or the given ones, each compared with the first of its architecture: students of different teachers."""
        first: dict[str, str] = {}
        found = []
        for name in self.params.build.rows if rows is None else rows:
            if any(stage > 0 for stage in self.stages_of(name)):
                one = first.setdefault(self.row(name).architecture, name)
                if one != name:
                    found.append(self.job(COMPARE, one, name))
        return found

    def sweeps(self) -> list[str]:
        """The sweeps of which there is anything to build."""
        return [name for name in self.params.sweeps if self.sweep(name)]

    def sweep(self, name: str) -> list[Job]:
        """The cells of a sweep, and those of its row's control."""
        sweep = self.named("sweeps", self.params.sweeps, name)
        rows = [row_name(name, variant.name, stages) for variant in sweep.variants for stages in sweep.stages]
        rows = [row for row in rows if row in self.params.rows]
        return [
            job for column in sweep.columns for job in self.cells([row for row in rows if column in self.params.columns(row)], [column])
        ]

    def evidence(self) -> dict[str, list[Job]]:
        """By target, the jobs beside the table's cells that a bare `snakemake` builds."""
        made: dict[str, Callable[[], list[Job]]] = {
            "probes": self.probes,
            "analyses": self.analyses,
            "comparisons": self.comparisons,
            "transfers": self.transfers,
            "shifts": self.shifts,
            "adaptations": self.adaptations,
        }
        return {target: jobs for target in self.params.build.evidence if (jobs := made[target]())}

    def targets(self) -> list[Job]:
        """All that a bare `snakemake` builds: the table's cells, the evidence beside it, and sweeps."""
        evidence = [job for jobs in self.evidence().values() for job in jobs]
        return list({job.name: job for job in [*self.cells(), *evidence, *self.swept()]}.values())

    def swept(self) -> list[Job]:
        """The cells of the sweeps that a bare `snakemake` builds."""
        return [job for name in self.params.build.sweeps for job in self.sweep(name)]

    def measurements(self, row: str, column: Column) -> list[Job]:
        """The evaluations of one cell, over the seeds; none if its column can't be measured yet."""
        try:
            return [self.job(EVALUATE, row, column, seed) for seed in self.params.build.seeds]
        except UserError:
            return []

    def everything(self) -> list[Job]:
        """All jobs of all rows, ancestors first, asked for or not."""
        targets: list[Job] = []
        for name, row in self.params.rows.items():
            targets += [self.job(DISTILL, name, stage) for stage in range(1, row.last_stage + 1)]
            targets += [job for column in self.params.columns(name) for job in self.measurements(name, column)]
        rows = self.params.table_rows
        places = dict.fromkeys(self.stands_for(name, stage) for name in rows for stage in self.networks_of(name))
        targets += [*self.transfers(rows), *self.shifts(rows), *self.comparisons(rows), *(self.job(PROBE, *place) for place in places)]
        targets += [self.job(ADAPT, row, task, stage) for row, stage in places for task in TASKS]
        targets += [self.job(ANALYSE, *place) for place in places if self.has_attention(*place)]
        return self.jobs(targets)

    def jobs(self, targets: list[Job] | None = None) -> list[Job]:
        """The targets (default: all that a bare `snakemake` builds) and all that they need, ancestors first, each once."""
        ordered: dict[str, Job] = {}

        def visit(job: Job) -> None:
            if job.name not in ordered:
                for needed in job.inputs.values():
                    visit(needed)
                ordered[job.name] = job

        for job in self.targets() if targets is None else targets:
            visit(job)
        return list(ordered.values())

    def resources(self, job: Job) -> Resources:
        """What a job asks for."""
        asked = self.asked(job.verb, job.architecture)
        return asked if asked.batch_per_process != "auto" else asked.model_copy(update={"batch_per_process": self._fitting(job, asked)})

    def gpu_memory(self, job: Job) -> float | None:
        """GB that a job is estimated to keep on its GPU at most. None: it has none, or there is no telling."""
        asked = self.resources(job)
        footprint = self._footprint(job, asked) if asked.gpus else None
        return None if footprint is None else footprint.peak(asked.batch, bool(asked.checkpointing)) / GIGA

    def _footprint(self, job: Job, asked: Resources) -> Footprint | None:
        return job.kind.work(Estimate(self.params, defaultdict(lambda: None), asked), job).memory

    def _fitting(self, job: Job, asked: Resources) -> int:
        """Images in a forward pass with which a job is estimated to fit the hardware's memory.

        Raises:
            UserError: there is no telling, it fits with none, or the number decides what is computed.
        """
        here, hardware = f"resources.{job.verb}: batch_per_process is auto", self.params.hardware
        if job.kind.batch_decides:
            raise UserError(f"{here}, but norms of {job.verb} jobs count over the images of a forward pass; state their number")
        footprint = self._footprint(job, asked)
        memory = hardware.kinds[hardware.use].memory_gb
        if footprint is None:
            raise UserError(f"{here}, but the memory of {job.verb} jobs is not estimated; state a number")
        if memory is None:
            raise UserError(f"{here}, but hardware.kinds.{hardware.use}.memory_gb is null; state it, or a number of images")
        if not (found := footprint.largest_batch(memory, bool(asked.checkpointing))):
            raise UserError(f"{here}, and {job.name} is estimated not to fit {memory:g} GB with any; set checkpointing: true")
        return found

    def asked(self, rule: str, architecture: str = "any") -> Resources:
        """What a rule's jobs ask for: its `any`, with the architecture's own figures laid on top."""
        sizes = self.params.resources.get(rule, {})
        stated = {k: v for size in ("any", architecture) if size in sizes for k, v in sizes[size].model_dump().items() if v is not None}
        defaults = {"nodes": 1, "gpus": 0, "threads": 1, "batch_per_process": 64, "checkpointing": False, "memory_gb": 2.0, "minutes": 60}
        return Resources(**{**defaults, **stated})

    def _with_controls(self, rows: list[str] | None) -> list[str]:
        wanted = list(self.params.build.rows if rows is None else rows)
        for name in list(wanted):
            control = self.row(name).control
            if control is not None and control not in wanted:
                wanted.append(control)
        return wanted

    def _networks(self, rows: list[str] | None) -> list[tuple[str, int]]:
        found: dict[tuple[str, int], None] = {}
        for name in self.params.build.rows if rows is None else rows:
            row = name
            while (before := self.row(row).finetuned_from) is not None:
                row = before
            found |= dict.fromkeys(self.stands_for(row, stage) for stage in self.networks_of(row, self.params.build.columns))
        return list(found)

    def _unknown_kinds(self) -> Iterator[Problem]:
        """Names of jobs in params.yaml, which knows none itself."""
        jobs = list(kinds())
        for rule in self.params.resources:
            if rule not in (*jobs, CALIBRATE):
                yield Problem(("resources", rule), "is not a rule", f"rules are: {', '.join((*jobs, CALIBRATE))}")
        for name, hardware in self.params.hardware.kinds.items():
            for key, known in (("share", [*jobs, "any"]), ("images_per_second", jobs)):
                for rule in getattr(hardware, key):
                    if rule not in known:
                        yield Problem(("hardware", "kinds", name, key, rule), "is not a job", f"use one of: {', '.join(known)}")
