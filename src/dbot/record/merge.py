"""Finishing a `git merge` of two people's results: whatever is generated is resolved here, by what it says and not by its lines.

Two people who built different rows have both done the jobs that the rows share, the data first of all.
Such a job has one result, so one id, and two receipts. One of them stays where the plan has it; the
other goes beside it, because what was made from it names its seal.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from dbot.base import git
from dbot.base.errors import UserError
from dbot.base.files import write_whole
from dbot.plan import RECEIPT, RESULTS, Plan
from dbot.record.adopt import MARK
from dbot.record.check import BESIDE
from dbot.record.receipt import Receipt
from dbot.record.stages import FILE, LOCK_FILE, write_stages

Side = Literal["ours", "theirs"]
BASE, OURS, THEIRS = 1, 2, 3
"""Git's numbers for the versions of a path in conflict."""
SHORT = 12
SEAL = 16
"""Characters of a seal in the name of a receipt that lies beside."""


@dataclass
class Merged:
    """What was done."""

    resolved: list[str] = field(default_factory=list)
    """Paths that were in conflict."""
    beside: list[Path] = field(default_factory=list)
    """Receipts of jobs that both had done, with the same result."""
    chosen: dict[str, Side] = field(default_factory=dict)
    """By folder, whose result stays, where both have another one of the same job."""


def merge(of_all_scales: list[Plan], keep: Side | None = None) -> Merged:
    """Resolve the generated files of the merge that is under way, and stage them.

    Args:
        of_all_scales: whose parameters decide between two results of a job; the first is that of the default scale.
        keep: whose result stays where the parameters don't decide.

    Raises:
        UserError: there is no merge, something else is in conflict, or it must be said whose result stays.
    """
    if git.is_whole() is None:
        raise UserError("this folder is in no git repository, or git can't be run here; `git status` says what is wrong")
    if git.ask("rev-parse", "-q", "--verify", "MERGE_HEAD") is None:
        raise UserError("no merge is under way; run `git pull` or `git merge` first, and this when git reports conflicts")
    conflicts = _conflicts()
    if foreign := [path for path in conflicts if not _is_generated(path)]:
        raise UserError(
            *(f"{path}: is in conflict and written by people; resolve it, `git add` it and run `dbot merge` again" for path in foreign)
        )
    done = Merged()
    others = _shared(of_all_scales, conflicts, keep, done)
    for path, versions in conflicts.items():
        if path.endswith(LOCK_FILE) or path.endswith(f"/{FILE}"):
            _unite(path, versions, done.chosen)
        elif path != str(FILE):
            _take(path, versions, done.chosen.get(_folder(path), "ours"))
        done.resolved.append(path)
    for beside, content in others.items():
        write_whole(beside, content)
        done.beside.append(beside)
        _git("add", "--", str(beside))
    if str(FILE) in conflicts:
        write_stages(of_all_scales[0])
        _git("add", "--", str(FILE))
    # It says which receipts DVC has; Snakemake writes it anew from all of them.
    for mark in RESULTS.glob(f"*/{MARK}"):
        git.ask("rm", "-q", "--force", "--", str(mark), seconds=None)
    return done


def _shared(of_all_scales: list[Plan], conflicts: dict[str, dict[int, str]], keep: Side | None, done: Merged) -> dict[Path, bytes]:
    """Look at every receipt that both sides have and that differs; returns those that go beside, by path."""
    ours, theirs = _receipts("HEAD"), _receipts("MERGE_HEAD")
    beside: dict[Path, bytes] = {}
    undecided = []
    for path in sorted(ours.keys() & theirs.keys()):
        if ours[path] == theirs[path]:
            continue
        contents = {"ours": _blob(ours[path]), "theirs": _blob(theirs[path])}
        found: dict[Side, Receipt] = {"ours": _receipt(path, contents["ours"]), "theirs": _receipt(path, contents["theirs"])}
        if found["ours"].id == found["theirs"].id:
            lies = contents["ours"] if path in conflicts else Path(path).read_bytes()
            other: Side = "theirs" if lies == contents["ours"] else "ours"
            beside[Path(path).parent / BESIDE / f"{found[other].seal[:SEAL]}.json"] = contents[other]
        elif path in conflicts:
            side = _as_planned(of_all_scales, found) or keep
            if side is None:
                undecided.append(
                    f"{path}: both sides have another result of this job ({found['ours'].id[:SHORT]} and {found['theirs'].id[:SHORT]}), "
                    "each by params.yaml; say `dbot merge --keep ours` or `--keep theirs`: what was made from the other one runs again"
                )
            else:
                done.chosen[_folder(path)] = side
    if undecided:
        raise UserError(*undecided)
    return beside


def _as_planned(of_all_scales: list[Plan], found: dict[Side, Receipt]) -> Side | None:
    """The side whose result is by the parameters that params.yaml has now, if only one's is."""
    fit: list[Side] = []
    for side, receipt in found.items():
        identity = receipt.identity
        plan = next((each for each in of_all_scales if each.scale == identity.scale), None)
        try:
            if plan is not None and plan.job(identity.verb, **identity.key).settings == identity.settings:
                fit.append(side)
        except UserError:
            continue
    return fit[0] if len(fit) == 1 else None


def _unite(path: str, versions: dict[int, str], chosen: dict[str, Side]) -> None:
    """Put the stages of both sides into one of DVC's files; where both changed one, the side that its job was chosen from has it."""
    from dvc.utils.serialize import dumps_yaml, parse_yaml_for_update

    documents: dict[int, Any] = {n: parse_yaml_for_update(_blob(blob).decode(), path) for n, blob in versions.items()}
    base, ours, theirs = ((documents.get(n) or {}).get("stages") or {} for n in (BASE, OURS, THEIRS))
    sides: dict[str, Side] = {"-".join(Path(folder).parts[1:]): side for folder, side in chosen.items()}
    stages = {}
    for name in [*ours, *(name for name in theirs if name not in ours)]:
        in_ours, in_theirs, before = ours.get(name), theirs.get(name), base.get(name)
        if in_ours is None or in_theirs is None:
            kept = in_theirs if in_ours is None else in_ours
            if kept != before:  # else the other side took it out
                stages[name] = kept
        elif in_ours == before:
            stages[name] = in_theirs
        elif in_theirs == before:
            stages[name] = in_ours
        else:
            stages[name] = in_theirs if sides.get(name) == "theirs" else in_ours
    united = documents.get(OURS) or documents[THEIRS]
    united["stages"] = stages
    write_whole(Path(path), dumps_yaml(united).encode())
    _git("add", "--", path)


def _take(path: str, versions: dict[int, str], side: Side) -> None:
    """Take one side's version; where that side removed the file, the other's."""
    wanted = OURS if side == "ours" else THEIRS
    taken = wanted if wanted in versions else OURS + THEIRS - wanted
    write_whole(Path(path), _blob(versions[taken]))
    _git("add", "--", path)


def _is_generated(path: str) -> bool:
    return path in (LOCK_FILE, str(FILE)) or Path(path).parts[0] == str(RESULTS)


def _folder(path: str) -> str:
    return Path(path).parent.as_posix()


def _conflicts() -> dict[str, dict[int, str]]:
    """By path, the blobs of its versions."""
    found: dict[str, dict[int, str]] = {}
    for entry in _git("ls-files", "--unmerged", "-z").split("\0")[:-1]:
        about, _, path = entry.partition("\t")
        _, blob, stage = about.split()
        found.setdefault(path, {})[int(stage)] = blob
    return found


def _receipts(commit: str) -> dict[str, str]:
    """By path, the blobs of the receipts of a commit."""
    found = {}
    for entry in _git("ls-tree", "-r", "-z", commit, "--", str(RESULTS)).split("\0")[:-1]:
        about, _, path = entry.partition("\t")
        if Path(path).name == RECEIPT:
            found[path] = about.split()[2]
    return found


def _receipt(path: str, content: bytes) -> Receipt:
    try:
        return Receipt.model_validate_json(content)
    except ValidationError as error:
        raise UserError(f"{path}: one side's is not a receipt ({error.errors()[0]['msg']}); take the other's with `git checkout`") from None


def _blob(name: str) -> bytes:
    return git.contents([name])[name]


def _git(*arguments: str) -> str:
    return git.demand(*arguments, remedy="mend that and run `dbot merge` again")
