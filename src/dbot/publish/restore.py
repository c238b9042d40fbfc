"""Putting a bundle's receipts and files in place: all of it is proven first, beside its place, by the judge of the project."""

import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import chdir, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from dbot.base.digest import file_digest, table_digest, tree_table
from dbot.base.errors import UserError
from dbot.base.files import locked, whole_folder
from dbot.jobs.kind import LOGS
from dbot.lineage import receipt as receipts
from dbot.lineage.executions import FOLDER, executions_of
from dbot.lineage.judge import Judge, State, check, job_of
from dbot.lineage.receipt import Receipt
from dbot.lineage.session import STATE, place
from dbot.lineage.signature import SUFFIX, vouched
from dbot.params.load import load
from dbot.params.scales import Signatures
from dbot.plan import RECEIPT, RESULTS, Job, Plan
from dbot.publish import bundle as bundles
from dbot.publish.bundle import AGAIN, Bundle

ROOM = STATE / "restore"
"""Where zips are unpacked, and what is fetched from elsewhere stays until it was restored."""
STAGE = ".restore"
"""Below the results of the scale, so that a job's folder goes to its place in one step."""


@dataclass
class Restored:
    """What has come of a bundle."""

    plan: Plan
    jobs: list[Job]
    """All that are in it, ancestors first."""
    targets: list[str]
    new: list[Job] = field(default_factory=list)
    """Those of which something was put in place; the others were here."""


def restore(params: Path, scale: str | None, folder: Path) -> Restored:
    """Put what a bundle holds in its places in this project.

    Args:
        params: the project's params.yaml.
        scale: that the bundle must be of. None: whichever it is of.
        folder: of the bundle.

    Raises:
        UserError: something in it is not as it was published, was made by another plan, or lies here already and is another's.
            Then nothing was put in place.
    """
    bundle = bundles.read(folder)
    if scale not in (None, bundle.scale):
        raise UserError(f"{folder}: is of scale {bundle.scale}, not {scale}; leave out --scale")
    bundles.check(folder, bundle)
    plan = Plan(load(params, bundle.scale))
    with _only_one(), _staged(folder, bundle) as stage:
        signatures = plan.params.signatures
        here = signatures.model_copy(update={"allowed_signers": str(Path(signatures.allowed_signers).resolve())})
        with chdir(stage):
            jobs = _judged(plan, bundle, folder, here)
        _refuse_conflicts(stage, jobs)
        restored = Restored(plan, jobs, bundle.targets)
        with _undone_if_it_fails() as made:
            restored.new = [job for job in jobs if _put(stage, job, made)]
        for name in bundle.files:
            if name.startswith(f"{LOGS}/") and not Path(name).exists() and _is_log(name, jobs):
                place(stage / name, Path(name))
    return restored


def check_signatures(jobs: Sequence[Job], targets: Collection[str], rules: Signatures) -> None:
    """Verify the signatures beside a bundle's receipts, which lie below the current folder, before anything of it is put in place.

    Args:
        jobs: of the receipts.
        targets: names of those for which the bundle was published.
        rules: what has to be signed, and by whose keys: those that this project allows.

    Raises:
        UserError: one is wrong, or is missing where params.yaml asks for it.
    """
    found = {job.receipt: receipts.read(job.receipt) for job in jobs}
    vouched(found, [job.receipt for job in jobs if job.name in targets], rules)


def draw_again(restored: Restored) -> Iterator[Path]:
    """Draw the embedded data sets that are not here, and compare them with their receipts, which stay; gives their folders.

    Raises:
        UserError: what is drawn here is not what was drawn there.
    """
    from dbot.data.embedded.draw import draw

    for job in restored.jobs:
        root = job.kind.fills(job)
        if root is None or root.is_dir():
            continue
        name = job.key["dataset"]
        with whole_folder(root, "GENERATED") as folder:
            draw(name, restored.plan.params.datasets[name], folder)
        if table_digest(tree_table(root)) != receipts.read(job.receipt).results["digest"]:
            shutil.rmtree(root)
            raise UserError(
                f"{root}: the versions of libraries here draw other images than those on {job.receipt}; "
                f"install those of requirements.lock, or `dvc pull {root}`"
            )
        yield root


@contextmanager
def _only_one() -> Iterator[None]:
    try:
        with locked(STATE / "restore.flock", seconds=1):
            yield
    except TimeoutError:
        raise UserError("another `dbot restore` is at work here; wait for it") from None


@contextmanager
def _staged(folder: Path, bundle: Bundle) -> Iterator[Path]:
    """A copy of what is to be put in place, on the same file system."""
    stage = (RESULTS / bundle.scale / STAGE).resolve()
    shutil.rmtree(stage, ignore_errors=True)
    try:
        for name, recorded in bundle.files.items():
            if name.split("/", 1)[0] in (str(RESULTS), str(LOGS)):
                _copy(folder / name, stage / name)
                if file_digest(stage / name) != recorded.sha256:
                    raise UserError(f"{folder / name}: changed while it was read; run this again")
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        with suppress(OSError):
            stage.parent.rmdir()  # if nothing came of it
            stage.parent.parent.rmdir()


def _copy(source: Path, target: Path) -> None:
    """Copy a file, and have it on the disk: its place is given to it by name later."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as read, target.open("wb") as written:
        shutil.copyfileobj(read, written, 2**20)
        written.flush()
        os.fsync(written.fileno())


def _judged(plan: Plan, bundle: Bundle, folder: Path, signatures: Signatures) -> list[Job]:
    """The jobs whose receipts lie below the current folder, ancestors first, once all of them are known to hold.

    Raises:
        UserError: one doesn't, is missing, or is of another plan; or something lies there that is no job's.
    """
    judge = Judge()
    try:
        with _without_remedies():
            found = [job_of(plan, path) for path in sorted((RESULTS / bundle.scale).rglob(RECEIPT))]
        jobs = plan.jobs(found)
        for job in jobs:
            standing = judge.of(job)
            if standing.own is State.STALE:
                raise UserError(
                    f"{job.receipt}: was made by another plan than {plan.resolved.file} has here ({standing.reasons[0]}); "
                    "check out the commit that made it, or restore it where params.yaml says the same"
                )
            if standing.own is State.NOT_RUN:
                raise UserError(f"{job.receipt}: is missing, and a receipt of the bundle stands on it; have it published anew")
            with _without_remedies():
                receipt = check(standing)
                read = executions_of(job.receipt, receipt.id)
            _refuse_what_is_no_jobs(job, receipt, {each.name for each in read})
        if not jobs:
            raise UserError(f"holds no receipt below results/{bundle.scale}; have it published anew")
        if unknown := set(bundle.targets) - {job.name for job in jobs}:
            raise UserError(f"holds no receipt of {min(unknown)}, for which it was published; have it published anew")
        check_signatures(jobs, bundle.targets, signatures)
    except UserError as error:
        raise UserError(*(f"{folder}: {problem}" for problem in error.problems)) from None
    return jobs


@contextmanager
def _without_remedies() -> Iterator[None]:
    """What is wrong with a file, without what helps where its job was done.

    Raises:
        UserError: something is wrong.
    """
    try:
        yield
    except UserError as error:
        raise UserError(*(f"{problem.partition(';')[0]}; {AGAIN}" for problem in error.problems)) from None


def _refuse_what_is_no_jobs(job: Job, receipt: Receipt, ended: Collection[str]) -> None:
    """Refuse files beside a receipt that are neither on it nor an execution that ended in it, nor a signature of these.

    Raises:
        UserError: names the first.
    """
    own = {RECEIPT, *receipt.artifacts, *(f"{FOLDER}/{name}.json" for name in ended)}
    for path in sorted(job.folder.rglob("*")):
        name = path.relative_to(job.folder).as_posix()
        if not path.is_dir() and name.removesuffix(SUFFIX) not in own:
            raise UserError(f"{path}: is no file of {job.name}, its receipt doesn't name it; remove it from the bundle")


def _refuse_conflicts(stage: Path, jobs: Sequence[Job]) -> None:
    """Refuse to take the place of what others have computed here.

    Raises:
        UserError: a line for each job that is running, or whose receipt here is another one.
    """
    judge, problems = Judge(), []
    for job in jobs:
        if not job.receipt.exists():
            if judge.of(job).own is State.RUNNING:
                problems.append(f"{job.name}: is running here; wait for it or stop it, then restore")
            continue
        published = receipts.read(stage / job.receipt)
        try:
            here = receipts.read(job.receipt).id
        except UserError:
            here = "a damaged one"
        if here != published.id:
            what = here if " " in here else f"id {here[:12]}"
            problems.append(
                f"{job.receipt}: another receipt lies here already ({what}, the bundle's is {published.id[:12]}); "
                f"move {job.folder} away first, or keep what is here"
            )
    if problems:
        raise UserError(*problems)


def _put(stage: Path, job: Job, made: list[Path]) -> bool:
    """Put one job in its place, in one step where nothing is there; whether anything was put."""
    source = stage / job.folder
    if not job.folder.exists():
        job.folder.parent.mkdir(parents=True, exist_ok=True)
        made.append(job.folder)
        source.rename(job.folder)
        return True
    put = False
    files = sorted((path for path in source.rglob("*") if path.is_file()), key=lambda path: (path.name == RECEIPT, path))
    for path in files:
        target = job.folder / path.relative_to(source)
        if not target.is_file():
            made.append(target)
        elif file_digest(target) == file_digest(path):
            continue
        place(path, target)
        put = True
    return put


@contextmanager
def _undone_if_it_fails() -> Iterator[list[Path]]:
    """A list of what was made, which is removed again, the last first, if the block doesn't end well."""
    made: list[Path] = []
    try:
        yield made
    except BaseException:
        for path in reversed(made):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        raise


def _is_log(name: str, jobs: Sequence[Job]) -> bool:
    return any(name == job.log.as_posix() for job in jobs)
