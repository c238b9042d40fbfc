"""Cells and files as a person names them, and the walk from them back to the data, receipt by receipt."""

from pathlib import Path

from dbot.base.errors import UserError
from dbot.jobs.kind import MODEL, kinds
from dbot.lineage import receipt as receipts
from dbot.lineage.judge import job_of
from dbot.lineage.receipt import Receipt
from dbot.params.load import load
from dbot.params.rows import COLUMNS, Column
from dbot.plan import RECEIPT, RESULTS, Job, Plan


def plans(file: Path) -> list[Plan]:
    """The plans of all scales of a params.yaml, that of the default scale first."""
    default = load(file)
    others = [scale for scale in default.params.scales if scale != default.scale]
    return [Plan(default), *(Plan(load(file, scale)) for scale in others)]


def jobs_at(plan: Plan, target: str) -> list[Job]:
    """The jobs behind a target: all seeds of ``B-B/cls``, one for ``B-B/cls/seed0`` or a path, the measured cells for a table.

    A row's name stands for its cells in the table's columns.

    Raises:
        UserError: there is nothing of that name.
    """
    path = Path(target)
    if path.exists():
        return _jobs_of_path(plan, path)
    row, _, rest = target.partition("/")
    column, _, seed = rest.partition("/")
    if row in plan.params.rows and not rest:
        return [job for each in plan.params.build.columns if each in plan.params.columns(row) for job in _cell(plan, row, each)]
    if row not in plan.params.rows or column not in COLUMNS or (seed and not _is_seed(seed)):
        raise UserError(
            f"{target}: is neither a file nor a cell; name a cell as B-B/cls or B-B/cls/seed0, a row, a receipt, or a file beside one"
        )
    return [plan.evaluate(row, column, seed.removeprefix("seed"))] if seed else _cell(plan, row, column)


def checkpoint_at(target: Path) -> tuple[Path, Path | None]:
    """The checkpoint of a path (itself, the receipt of the job that wrote it, or that job's folder), and its receipt if it has one.

    Raises:
        UserError: the job wrote no network.
    """
    named = target / RECEIPT if target.is_dir() else target
    if target.is_dir() and not named.is_file():
        raise UserError(f"{target}: is a folder, and no job's: it has no {RECEIPT}; name a checkpoint, .safetensors")
    if named.suffix == ".json":
        found = receipts.read(named)
        kind = kinds().get(found.verb)
        file = next((name for name in ((kind and kind.exported), MODEL) if name in found.artifacts), None)
        if file is None:
            raise UserError(
                f"{target}: is of a job that wrote no network ({found.verb}); name a student's, a classifier's or a fetched one's"
            )
        return named.parent / file, named
    beside = named.parent / RECEIPT
    return named, beside if beside.is_file() and named.name in receipts.read(beside).artifacts else None


def jobs_done(plan: Plan) -> list[Job]:
    """Every job that has a receipt, whatever that is worth: those of the table, and others that params.yaml still declares."""
    jobs = {job.name: job for job in plan.jobs()}
    for path in sorted((RESULTS / plan.scale).rglob(RECEIPT)):
        if (job := _job_at(plan, path)) is not None:
            jobs.setdefault(job.name, job)
    return [job for job in plan.jobs(list(jobs.values())) if job.receipt.exists()]


def _job_at(plan: Plan, receipt: Path) -> Job | None:
    """The job whose receipt lies at a path; None where params.yaml declares none."""
    verb, *values = receipt.relative_to(RESULTS / plan.scale).parent.parts
    kind = kinds().get(verb)
    if kind is None or len(values) != len(kind.key):
        return None
    try:
        job = plan.job(kind, **{key.name: value.removeprefix(key.name) for key, value in zip(kind.key, values, strict=True)})
    except UserError:
        return None
    return job if job.receipt == receipt else None


def _cell(plan: Plan, row: str, column: Column) -> list[Job]:
    """All seeds of one cell."""
    return plan.cells([row], [column])[: len(plan.params.build.seeds)]  # what follows are the row's control


def _jobs_of_path(plan: Plan, path: Path) -> list[Job]:
    folder = path if path.is_dir() else path.parent
    if (folder / RECEIPT).exists():
        return [job_of(plan, folder / RECEIPT)]
    if folder.resolve() == (RESULTS / plan.scale).resolve():
        return [job for job in plan.cells() if job.receipt.exists()]
    raise UserError(
        f"{path}: no receipt lies beside it, so no job of scale {plan.scale} wrote it; name a file below {RESULTS / plan.scale}"
    )


def _is_seed(text: str) -> bool:
    return text.startswith("seed") and text.removeprefix("seed").isdecimal()


def walk(paths: list[Path]) -> dict[Path, Receipt]:
    """The receipts at some paths and all that they came from, the nearest first.

    Raises:
        UserError: one is missing or was changed, or is no longer the one that was read.
    """
    found: dict[Path, Receipt] = {}
    queue = list(paths)
    while queue:
        path = queue.pop(0)
        if path in found:
            continue
        found[path] = receipts.read(path)
        for needed in found[path].inputs.values():
            if receipts.read(Path(needed.path)).id != needed.id:
                raise UserError(
                    f"{path}: was made from another {needed.path} than lies there now, so its lineage is lost here; run its job again"
                )
            queue.append(Path(needed.path))
    return found
