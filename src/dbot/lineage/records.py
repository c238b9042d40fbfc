"""The receipts of a checkout, a bundle or a git revision, and how they came about: what lies there, asked of no params.yaml."""

import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from dbot.base import git
from dbot.base.errors import UserError
from dbot.jobs.kind import name_of
from dbot.lineage import executions
from dbot.lineage import receipt as receipts
from dbot.lineage.executions import FOLDER, Execution
from dbot.lineage.receipt import Receipt
from dbot.plan import RECEIPT, RESULTS

SHORT = 12


@dataclass(frozen=True)
class Chain:
    """A receipt and all that it was made from, found by id wherever it lies."""

    receipts: Mapping[str, Receipt]
    """By the name of the job, the nearest first."""
    lost: str | None
    """What one of them was made from and is not there; None: nothing."""


@dataclass(frozen=True)
class Records:
    """What one place has on record."""

    place: str
    """As a person named it."""
    about: str
    """What it is: a folder, or a revision with its commit."""
    receipts: Mapping[str, Receipt]
    """By id."""
    executions: Mapping[str, Execution]
    """By the id of the receipt that they ended in, the earliest of each."""

    def of(self, verb: str) -> list[Receipt]:
        """The receipts of a kind of job, by scale and key."""
        found = [receipt for receipt in self.receipts.values() if receipt.verb == verb]
        return sorted(found, key=lambda receipt: (receipt.scale, *receipt.key.values()))

    def chain(self, receipt: Receipt) -> Chain:
        """A receipt and all behind it."""
        found, lost, queue = dict[str, Receipt](), None, [receipt]
        while queue:
            each = queue.pop(0)
            name = name_of(each.verb, each.key)
            if name in found:
                continue
            found[name] = each
            for needed in each.inputs.values():
                if needed.id in self.receipts:
                    queue.append(self.receipts[needed.id])
                else:
                    lost = lost or f"{name} was made from another {needed.path} ({needed.id[:SHORT]}) than is there"
        return Chain(found, lost)

    @cached_property
    def commits(self) -> Mapping[str, str]:
        """By digest of code, the commits that it ran at, as people are told."""
        found: dict[str, set[str]] = {}
        for identity, execution in self.executions.items():
            commit = f"{execution.commit[:SHORT]}{' with changes' * (execution.changes is not None)}" if execution.commit else "no git"
            found.setdefault(self.receipts[identity].code, set()).add(commit)
        return {code: ", ".join(sorted(commits)) for code, commits in found.items()}


def records_at(place: str) -> Records:
    """What is on record at a place that a person named.

    Args:
        place: a folder (a checkout, or a bundle of results), or a revision of this repository, which is read without a checkout.

    Raises:
        UserError: there is no such place, it could be both, it holds no receipts, or one of them was changed.
    """
    folder = Path(place)
    commit = git.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{place}^{{commit}}")
    if folder.is_dir() and commit and not place.startswith((".", "/", "~")):
        raise UserError(
            f"{place}: is a folder and a revision too; name the folder as ./{place}, or the revision by its commit {commit[:SHORT]}"
        )
    if folder.is_dir():
        return _made(place, "folder", _in_folder(folder))
    if commit:
        return _made(place, f"commit {commit[:SHORT]}", _in_commit(place, commit))
    raise UserError(f"{place}: is neither a folder nor a revision that this repository has (`git fetch` may bring it)")


def records_in_zips(place: str, zips: Iterable[Path]) -> Records:
    """What is on record in the zips of a bundle, which are not unpacked.

    Args:
        place: as a person named it.
        zips: all that belong together.

    Raises:
        UserError: one is no zip, or is cut off; or as `records_at`.
    """
    return _made(place, "zip", [entry for path in zips for entry in _in_zip(path)])


def _in_zip(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if _is_record(PurePosixPath(name)):
                    yield f"{path}:{name}", archive.read(name)
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError) as error:
        raise UserError(f"{path}: is cut off or damaged, or no zip ({error}); get it again") from None


def _in_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Receipts and executions below a folder, each with its path; of a checkout those of its results."""
    results = folder / RESULTS
    for path in sorted((results if results.is_dir() else folder).rglob("*.json")):
        if _is_record(PurePosixPath(path)):
            yield path.as_posix(), path.read_bytes()


def _in_commit(place: str, commit: str) -> Iterator[tuple[str, bytes]]:
    """The same of a commit."""
    listed = git.ask("ls-tree", "-r", "-z", commit, "--", f"{RESULTS.as_posix()}/") or ""
    blobs = {}
    for entry in filter(None, listed.split("\0")):
        about, _, name = entry.partition("\t")
        if _is_record(PurePosixPath(name)):
            blobs[name] = about.split()[2]
    contents = git.contents(blobs.values())
    yield from ((f"{place}:{name}", contents[blob]) for name, blob in sorted(blobs.items()))


def _is_record(path: PurePosixPath) -> bool:
    return path.name == RECEIPT or (path.parent.name == FOLDER and path.suffix == ".json")


def _made(place: str, about: str, files: Iterable[tuple[str, bytes]]) -> Records:
    found, ended, jobs = dict[str, Receipt](), list[Execution](), dict[tuple[str, str], str]()
    for path, content in files:
        if PurePosixPath(path).name != RECEIPT:
            ended.append(executions.parsed(content, path))
            continue
        receipt = receipts.parsed(content, path)
        name = (receipt.scale, name_of(receipt.verb, receipt.key))
        if jobs.setdefault(name, receipt.id) != receipt.id:
            raise UserError(f"{path}: is a second receipt of {name[1]} at scale {name[0]} in {place}; name a folder that has one of each")
        found[receipt.id] = receipt
    if not found:
        raise UserError(f"{place}: holds no receipts ({about}); name a checkout with results, a bundle, or a revision that has some")
    earliest: dict[str, Execution] = {}
    for execution in sorted(ended, key=lambda execution: (execution.ended, execution.name)):
        if execution.receipt in found:
            earliest.setdefault(execution.receipt, execution)
    return Records(place, about, found, earliest)
