"""Checking a chain against itself: receipts, executions, files, images, teachers, and the commits that they name."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from dbot.base.digest import canonical, file_digest
from dbot.base.errors import UserError
from dbot.lineage.commits import check_commits
from dbot.lineage.executions import executions_of
from dbot.lineage.judge import Judge, check
from dbot.lineage.receipt import Receipt
from dbot.lineage.signature import Signed, vouched
from dbot.params.scales import Signatures
from dbot.plan import Job

CHUNK = 256
"""Files that are handed to a thread at once."""
THREADS = 8
UNASKED = Signatures()


@dataclass
class Verified:
    """How much was found to match, and what could not be compared."""

    receipts: int = 0
    files: int = 0
    images: int = 0
    commits: int = 0
    """Executions whose commit is in git and holds the code that ran."""
    signed: dict[str, Signed] = field(default_factory=dict)
    """By job, who signed its receipt."""
    notes: list[str] = field(default_factory=list)


def verify(judge: Judge, jobs: list[Job], images: bool = True, results: Sequence[Job] = (), rules: Signatures = UNASKED) -> Verified:
    """Verify jobs in the given order, which should be from the data to the cells.

    Args:
        judge: who has looked at them.
        jobs: each with a receipt.
        images: hash every image of a prepared data set as well.
        results: those of them that somebody asks for, and that are not there for others alone.
        rules: which signatures have to be there.

    Raises:
        UserError: names the first thing that doesn't match.
    """
    found, receipts, executions, away = Verified(), {}, {}, dict[Path, Job]()
    for job in jobs:
        receipt = receipts[job.receipt] = check(judge.of(job))
        executions[job.receipt] = executions_of(job.receipt, receipt.id)
        found.receipts += 1
        found.files += len(receipt.artifacts) + len(executions[job.receipt])
        if images and (listed := job.kind.data_files(job)) is not None:
            root, files = listed
            if files and not root.is_dir():
                away.setdefault(root, job)
                continue
            _check_files(job, root, files)
            found.images += len(files) if job.kind.fills(job) is None else 0
    _check_teachers(receipts)
    commits = check_commits(receipts, executions)
    found.commits = commits.confirmed
    found.notes += commits.notes
    told = vouched(receipts, [job.receipt for job in results], rules)
    found.signed = {job.name: told.by[job.receipt] for job in jobs if job.receipt in told.by}
    found.notes += told.notes
    found.notes += [f"data: {root} is not here, so none of its files was compared; {_brings(root, job)}" for root, job in away.items()]
    return found


def _brings(root: Path, job: Job) -> str:
    """How a data set that a job speaks of comes to its folder."""
    for each in (job, *job.ancestors()):
        if each.kind.fills(each) is not None:
            return f"`dvc pull {root}` brings it, or run: {each.command}"
    return "put it there, or state in params.yaml where it lies"


def _check_teachers(receipts: Mapping[Path, Receipt]) -> None:
    """Find a teacher from elsewhere whose file was another one for another row."""
    known: dict[bytes, tuple[Path, str]] = {}
    for path, receipt in receipts.items():
        settings, digest = receipt.settings, receipt.results.get("teacher_sha256")
        if digest is None or settings["teacher"]["kind"] == "random":  # drawn, each for its student
            continue
        same = canonical([settings["teacher"], settings["recipe"]["target"], settings["normalisation"]])
        other, its = known.setdefault(same, (path, str(digest)))
        if its != digest:
            raise UserError(
                f"{path}: had other weights of its teacher (SHA-256 {digest}) than {other} ({its}); run both again with one file"
            )


def _check_files(job: Job, root: Path, files: list[tuple[str, str]]) -> None:
    """Check files below a folder, and name the first that is not what it was."""
    parts = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    with ThreadPoolExecutor(THREADS) as pool:
        for problem in pool.map(lambda part: _first_problem(root, part), parts):
            if problem is not None:
                pool.shutdown(cancel_futures=True)
                raise UserError(f"{problem}; restore it, or run: {job.command}")


def _first_problem(root: Path, files: list[tuple[str, str]]) -> str | None:
    for name, digest in files:
        path = root / name
        if not path.is_file():
            return f"{path}: is missing, and the list of the data set's files has it"
        if file_digest(path) != digest:
            return f"{path}: is not the file in the list of the data set's files (SHA-256 differs)"
    return None
