"""What may be freed: nothing that a receipt needs, be it on disk or in any commit.

Free are the state of jobs that have ended or that no plan would go on with, results of jobs that no plan
names and nobody needs, files that were never finished, and objects in DVC's cache that no `.dvc` file
names, now or in any commit.
"""

import fcntl
import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dbot.base import git
from dbot.base.errors import UserError
from dbot.base.files import locked
from dbot.lineage import receipt as receipts
from dbot.lineage.executions import executions_of
from dbot.lineage.receipt import Receipt
from dbot.lineage.session import STATE, state_folder
from dbot.lineage.underway import is_locked
from dbot.plan import RECEIPT, RESULTS, Job, Plan
from dbot.versioning.keep import LOCK, LOCK_SECONDS
from dbot.versioning.pointer import SUFFIX, is_kept, kept_by, read_pointer

CACHE = Path(".dvc/cache/files/md5")
PART_SECONDS = 3600.0
"""A file is written within this time; a part of one that is older was left by a process that was killed."""
NAMED = re.compile(rb"\bmd5: ([0-9a-f]{32}(?:\.dir)?)")


@dataclass(frozen=True)
class Free:
    """Something that may go."""

    path: Path
    bytes: int
    why: str


def free(of_all_scales: list[Plan]) -> list[Free]:
    """Everything that may go, with the reason.

    Raises:
        UserError: a receipt can't be read, so nobody knows what it needs.
    """
    found = _read()
    orphans = list(_orphans(of_all_scales, found))
    gone = {each.path for each in orphans}
    return [*orphans, *_states(of_all_scales), *(part for part in _parts() if not gone & set(part.path.parents)), *_objects()]


def delete(found: list[Free]) -> list[Free]:
    """Remove what was found; returns what is needed by now, and stays."""
    objects = [each for each in found if each.path.is_relative_to(CACHE)]
    stay = [each for each in found if each not in objects and not _gone(each.path)]
    if objects:
        with locked(LOCK, LOCK_SECONDS):  # `dbot record` may have brought an object, and be about to name it
            named = _named()
            for each in objects:
                if f"{each.path.parent.name}{each.path.name}" in named:
                    stay.append(each)
                else:
                    each.path.unlink(missing_ok=True)
    for each in found:
        _prune(each.path.parent)
    return stay


def _gone(path: Path) -> bool:
    """Remove a file or a folder; False where a job has begun to work in it."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
    elif not path.is_relative_to(STATE):
        shutil.rmtree(path)
    else:
        with (path / "lock").open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
            shutil.rmtree(path)
    return True


def _read() -> dict[Path, Receipt]:
    return {path: receipts.read(path) for path in sorted(RESULTS.rglob(RECEIPT))}


def _orphans(of_all_scales: list[Plan], found: dict[Path, Receipt]) -> Iterator[Free]:
    """Folders of jobs that no plan names and that no other receipt was made from."""
    named = {path for path, receipt in found.items() if _is_named(of_all_scales, path, receipt)}
    needed, queue = set[Path](), list(named)
    while queue:
        path = queue.pop()
        if path not in needed and path in found:
            needed.add(path)
            queue += [Path(read.path) for read in found[path].inputs.values()]
    committed = git.committed(RESULTS)
    for path in found.keys() - needed:
        files = [file for file in path.parent.rglob("*") if file.is_file()]
        # What a commit speaks of must be there to be had: in git itself, or in DVC's cache.
        if path in committed and not all(file in committed or _is_cached(file) for file in files if not _is_part(file)):
            continue
        yield Free(path.parent, sum(file.stat().st_size for file in files), f"no scale of params.yaml has this {found[path].verb} any more")


def _is_named(of_all_scales: list[Plan], path: Path, receipt: Receipt) -> bool:
    for plan in of_all_scales:
        if plan.scale != receipt.scale:
            continue
        try:
            return plan.job(receipt.verb, **receipt.key).receipt == path
        except (UserError, KeyError, TypeError):
            return False
    return False


def _states(of_all_scales: list[Plan]) -> Iterator[Free]:
    """State of jobs that have ended, and state that no planned job would go on from. One that is at work is left alone."""
    for plan in of_all_scales:
        for stored in sorted((STATE / plan.scale).rglob("execution.json")):
            folder = stored.parent
            why = None if is_locked(folder) else _why(plan, stored)
            if why is not None:
                yield Free(folder, sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()), why)


def _why(plan: Plan, stored: Path) -> str | None:
    """Why a state folder may go; None if it may not, or if nobody knows."""
    try:
        content = json.loads(stored.read_text())
        verb, key, name = content["verb"], content["key"], content["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    try:
        job = plan.job(verb, **key)
    except (UserError, KeyError, TypeError):
        return f"scale {plan.scale} of params.yaml has no such job any more"
    folder = _state_of(job)
    if folder is None:
        return None  # its inputs are not here
    if folder != stored.parent:
        return "begun with other parameters or inputs than the plan has now: no job would go on from it"
    try:
        ended = any(each.name == name for each in executions_of(job.receipt, receipts.read(job.receipt).id))
        kept = all(is_kept(path) for path in kept_by(job))
    except UserError:
        return None
    return "its job has ended, and DVC has what it wrote" if ended and kept else None


def _state_of(job: Job) -> Path | None:
    """Where the job's state lies for the receipts that lie there now; None while one is missing."""
    try:
        return state_folder(job, {role: receipts.read(needed.receipt).id for role, needed in job.inputs.items()})
    except UserError:
        return None


def _parts() -> Iterator[Free]:
    old = time.time() - PART_SECONDS
    for root in (RESULTS, STATE):
        for path in sorted(root.rglob(".*.part")):
            if path.is_file() and path.stat().st_mtime < old and not is_locked(path.parent):
                yield Free(path, path.stat().st_size, "was never finished: its process was killed")


def _objects() -> Iterator[Free]:
    """Objects in this project's own cache that no `.dvc` file names. A cache elsewhere may be shared, and is left alone."""
    if not CACHE.is_dir() or why_the_cache_stays() is not None:
        return
    named = _named()
    for path in sorted(CACHE.glob("[0-9a-f][0-9a-f]/*")):
        if path.is_file() and f"{path.parent.name}{path.name}" not in named:
            yield Free(path, path.stat().st_size, "no .dvc file names it, in no commit")


def why_the_cache_stays() -> str | None:
    """Why nothing of this project's own cache may go: without all of the history nobody knows what is needed; None where all is known.

    The repository may be that of a folder above, if it has the project's files.
    """
    if not CACHE.is_dir():
        return None
    whole = git.is_whole()
    if whole is None or not (Path(".git").exists() or git.ask("ls-files")):
        return "no git repository has this project's files, so nobody knows what else was made from it"
    return None if whole else "git has only a part of the history here (git fetch --unshallow)"


def _named() -> set[str]:
    """MD5s that DVC's files name, here and in every commit of every branch, with those in the folders that they name."""
    texts = [path.read_bytes() for path in _pointers()]
    # No answer must not be taken for "no commit names anything".
    listed = git.demand("rev-list", "--all", "--reflog", "--objects", remedy="mend the repository (git fsck); nothing was freed")
    blobs = {line.split()[0] for line in listed.splitlines() if line.endswith((SUFFIX, "dvc.lock"))}
    texts += git.contents(sorted(blobs)).values()
    names = {name.decode() for text in texts for name in NAMED.findall(text)}
    for name in [name for name in names if name.endswith(".dir")]:
        path = CACHE / name[:2] / name[2:]
        if path.exists():
            names |= {entry["md5"] for entry in json.loads(path.read_bytes())}
    return names


def _pointers() -> Iterator[Path]:
    """The `.dvc` files of this project: beside results, and beside embedded data sets."""
    pattern = f"*{SUFFIX}"
    found = (*RESULTS.rglob(pattern), *Path("data").glob(pattern), *Path().glob(pattern))  # the images below data are many
    yield from sorted(path for path in found if path.is_file())  # .dvc itself is DVC's folder


def _is_cached(path: Path) -> bool:
    """Whether DVC's cache holds a file, by the `.dvc` file beside it."""
    found = read_pointer(path)
    return found is not None and (CACHE / found.md5[:2] / found.md5[2:]).exists()


def _is_part(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(".part")


def _prune(folder: Path) -> None:
    """Remove folders that have become empty, up to those that always are there."""
    while folder not in (RESULTS, STATE, CACHE, Path()) and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
