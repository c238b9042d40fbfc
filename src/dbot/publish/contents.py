"""What goes into a bundle: results with all that is behind them, and what is made of them for those who have no dbot."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from dbot.base.errors import UserError
from dbot.base.files import whole_folder
from dbot.jobs.prepare import PREPARE
from dbot.lineage.executions import FOLDER, executions_of
from dbot.lineage.judge import Judge, State, check
from dbot.lineage.provenance.story import Story, story
from dbot.lineage.receipt import Receipt
from dbot.lineage.signature import SUFFIX
from dbot.lineage.target import jobs_at
from dbot.plan import Job, Plan
from dbot.publish import bundle as bundles
from dbot.publish import croissant, repository, run_crate
from dbot.publish.bundle import MARKER, Bundle
from dbot.publish.repository import Exported

Pictures = Literal["open", "all"]
WORKFLOW = Path("workflow")


@dataclass(frozen=True)
class Published:
    """What shall be published."""

    plan: Plan
    targets: list[Job]
    """Cells, and the evidence about them that is built."""
    jobs: list[Job]
    """They and all that is behind them, ancestors first."""
    receipts: dict[str, Receipt]
    """By job."""
    story: Story


def gathered(plan: Plan, named: Sequence[str]) -> Published:
    """The results of some rows or cells, once all of it is known to hold, every file read.

    Raises:
        UserError: there is nothing of that name, or something doesn't hold.
    """
    cells = list({job.name: job for target in named for job in jobs_at(plan, target)}.values())
    judge = Judge()
    for job in cells:
        if not (found := judge.of(job)).state.holds:
            state = "has not run" if found.state is State.NOT_RUN else f"is {found.state}: {found.reason}"
            raise UserError(f"{job.name}: {state}; only results that hold are published (`snakemake {job.receipt}`)")
    targets = [*cells, *(job for job in _evidence(plan, named) if judge.of(job).state is State.BUILT)]
    jobs = plan.jobs(targets)
    return Published(plan, targets, jobs, {job.name: check(judge.of(job)) for job in jobs}, story(plan, [job.receipt for job in targets]))


def _evidence(plan: Plan, named: Sequence[str]) -> Iterator[Job]:
    """What stands beside whole rows: probes and analyses of their networks, transfers, and their classifiers on shifted sets."""
    if rows := [name for name in named if name in plan.params.rows]:
        yield from (*plan.probes(rows), *plan.adaptations(rows), *plan.analyses(rows))
        yield from (job for job in (*plan.transfers(rows), *plan.shifts(rows)) if job.key["row"] in rows)


def write(published: Published, target: Path, doi: str | None = None, hub: str | None = None, pictures: Pictures = "open") -> Bundle:
    """Write a bundle into a folder, whole or not at all. The same results give the same bytes.

    Args:
        published: what goes into it.
        target: the folder; one of an earlier bundle is replaced.
        doi: under which it is going to be cited.
        hub: its name on Hugging Face's hub, if it goes there.
        pictures: `open`: no pictures that show images of data sets whose licence isn't known to allow it. `all`: these too.

    Raises:
        UserError: the folder holds something else, or a checkpoint is no network.
    """
    with whole_folder(target, MARKER) as part:
        folder = part.resolve()
        for job in published.jobs:
            for path in _files(published, job, pictures):
                _copy(path, folder / path)
        for path in _workflow(published.plan):
            _copy(path, folder / path)
        plan = _only(published)
        citation = repository.citation(published.story, published.targets, doi)
        with chdir(folder):
            exports = [Exported(job, Path() if i == 0 else Path("models") / job.name) for i, job in enumerate(_networks(published))]
            repository.write(plan, published.targets, published.story, exports, hub, doi)
            Path("CITATION.cff").write_text(citation)
            Path("LICENCES.md").write_text(repository.licences(published.story))
            for job in published.jobs:
                if job.kind is PREPARE and is_open(plan, job):
                    ended = published.story.steps[job.receipt].execution.ended
                    said = croissant.described(job, published.receipts[job.name], plan, ended)
                    Path(f"croissant-{job.key['dataset']}.json").write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n")
            run_crate.write(published.story, published.jobs, bundles.names(Path()), doi)
        return bundles.describe(folder, plan.scale, [job.name for job in published.targets], doi)


def is_open(plan: Plan, job: Job) -> bool:
    """Whether all data behind a job may be seen by others."""
    sets = [each.key["dataset"] for each in (job, *job.ancestors()) if each.kind.is_data]
    return all(plan.params.datasets[name].open for name in sets)


def _files(published: Published, job: Job, pictures: Pictures) -> Iterator[Path]:
    """Of one job: receipt, executions, signatures, log, and its files as far as they may be seen."""
    receipt = published.receipts[job.name]
    own = [job.receipt, *(job.folder / FOLDER / f"{each.name}.json" for each in executions_of(job.receipt, receipt.id))]
    shown = pictures == "all" or is_open(published.plan, job)
    for name in receipt.artifacts:
        if (shown or name not in job.kind.pictures) and (job.folder / name).is_file():
            own.append(job.folder / name)
    yield from own
    yield from (signature for path in own if (signature := path.with_name(path.name + SUFFIX)).is_file())
    if job.log.is_file():
        yield job.log


def _workflow(plan: Plan) -> Iterator[Path]:
    """The parameters, the rules and the terms, as they are here."""
    here = Path().resolve()
    for path in (*plan.resolved.files, *sorted(WORKFLOW.rglob("*.smk")), WORKFLOW / "Snakefile", Path("environment.yml"), Path("LICENSE")):
        if path.is_file() and path.resolve().is_relative_to(here):
            yield path.resolve().relative_to(here)


def _networks(published: Published) -> Iterator[Job]:
    """The jobs whose networks timm loads: classifiers first, in the order of the rows as named, later stages before earlier ones."""
    made = [job for job in published.jobs if (job.kind.exported or "") in published.receipts[job.name].artifacts]
    rows = list(dict.fromkeys(job.key["row"] for job in published.targets if "row" in job.key))

    def place(job: Job) -> tuple[int, int, int]:
        row = job.key.get("row")
        return -job.kind.order, rows.index(row) if row in rows else len(rows), -int(job.key.get("stage", 0))

    yield from sorted(made, key=place)


def _only(published: Published) -> Plan:
    """The plan, with no rows to be built but those that are published: a page speaks of no others."""
    plan = published.plan
    rows = list(dict.fromkeys(job.key["row"] for job in published.targets if "row" in job.key))
    columns = [c for c in ("cls", "det", "seg") if any(job.key.get("column") == c for job in published.targets)]
    build = plan.params.build.model_copy(update={"rows": rows, "columns": columns or plan.params.build.columns})
    return Plan(replace(plan.resolved, params=plan.params.model_copy(update={"build": build})))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
