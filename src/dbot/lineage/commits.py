"""Executions against git: the commit that one names is there, and holds the code that the receipt names by digest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dbot.base import git
from dbot.base.errors import UserError
from dbot.lineage import surroundings
from dbot.lineage.executions import FOLDER, Execution
from dbot.lineage.receipt import Receipt
from dbot.plan import RESULTS

SHORT = 12


@dataclass
class Commits:
    """What git confirms of some executions."""

    confirmed: int = 0
    """Executions whose commit holds the code that ran."""
    notes: list[str] = field(default_factory=list)
    """What could not be checked, and why."""


def check_commits(receipts: Mapping[Path, Receipt], executions: Mapping[Path, Sequence[Execution]]) -> Commits:
    """Compare each execution's commit, and its receipt's digest of code, with the repository.

    Args:
        receipts: by path.
        executions: by path of the receipt, all that ended in it.

    Raises:
        UserError: names the first execution whose commit is not there or holds other code.
    """
    whole, found = git.is_whole(), Commits()
    if whole is None:
        found.notes.append("git: not checked, this folder is in no repository")
        return found
    absent, changed, without, unnamed = set[str](), 0, 0, 0
    each = [(path, execution) for path, ended in executions.items() for execution in ended]
    code = {commit: _code(commit) for commit in {execution.commit for _, execution in each} if commit is not None}
    for path, execution in each:
        commit, lies = execution.commit, path.parent / FOLDER / f"{execution.name}.json"
        if commit is None:
            unnamed += 1
        elif code[commit] is None:
            if whole:
                raise UserError(
                    f"{lies}: names commit {commit[:SHORT]}, which this repository doesn't have; `git fetch --all` may bring it"
                )
            absent.add(commit[:SHORT])
        elif execution.changes is not None:
            changed += 1
        elif not code[commit]:
            without += 1
        elif code[commit] != receipts[path].code:
            raise UserError(
                f"{lies}: names commit {commit[:SHORT]} without changes, but the code of {path} is not the one there "
                f"(SHA-256 {receipts[path].code[:SHORT]}, there {str(code[commit])[:SHORT]}); run its job again from a commit"
            )
        else:
            found.confirmed += 1
    if absent:
        found.notes.append(f"git: this clone is shallow and lacks {', '.join(sorted(absent))}; `git fetch --unshallow` brings it")
    for count, what in (
        (changed, "ran from a tree with changes, of which they have the digest"),
        (without, "name a commit that holds no src/dbot"),
        (unnamed, "were made without git"),
    ):
        if count:
            found.notes.append(f"git: the code of {count} executions can't be compared: they {what}")
    if loose := receipts.keys() - git.committed(RESULTS):
        found.notes.append(
            f"git: {len(loose)} of {len(receipts)} receipts are not as the last commit has them; `git status results` lists them"
        )
    return found


def _code(commit: str) -> str | None:
    """The digest of the code at a commit: empty where it has none, None where there is no such commit."""
    return (surroundings.code_of(commit) or "") if git.has_commit(commit) else None
