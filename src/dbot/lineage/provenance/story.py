"""What a lineage consists of: jobs that were done, what came from outside with its licence, and the people whom git names."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dbot.base import git
from dbot.lineage.executions import Execution, executions_of
from dbot.lineage.receipt import Receipt
from dbot.lineage.target import walk
from dbot.params.document import Params
from dbot.plan import Plan


@dataclass(frozen=True)
class People:
    """Names from the history of the repository."""

    authors: dict[str, str] = field(default_factory=dict)
    """By commit, who wrote it."""
    committers: dict[Path, str] = field(default_factory=dict)
    """By receipt, whose commit brought it as it lies there."""


def people(commits: Iterable[str | None], receipts: Iterable[Path]) -> People:
    """Ask git; whatever it doesn't know is left out."""
    authors = {}
    for commit in sorted({commit for commit in commits if commit is not None}):
        name = git.ask("show", "--no-patch", "--format=%an", commit)
        if name is not None:
            authors[commit] = name
    paths = [path.as_posix() for path in receipts]
    changed = set((git.ask("diff", "--name-only", "--relative", "-z", "HEAD", "--", *paths) or "").split("\0"))
    committers: dict[Path, str] = {}
    # The newest commit first; each says its author, then the files that it changed.
    log = git.ask("-c", "core.quotePath=false", "log", "--relative", "--name-only", "--format=%x01%an", "--", *paths) or ""
    for part in log.split("\1")[1:]:
        name, *files = part.split("\n")
        for file in files:
            if file and file not in changed:
                committers.setdefault(Path(file), name)
    return People(authors, committers)


NOT_STATED = "not stated"


@dataclass(frozen=True)
class Source:
    """Something that no job of the project computed: a data set, a teacher's weights, a released file."""

    key: str
    """Unique in a story: ``data/<digest>``, ``teacher/<name>``, ``released/<name>``."""
    kind: str
    title: str
    licence: str
    sha256: str | None
    """Of the content; None where nobody could take it."""
    origin: str
    """Where it is had."""
    folder: str | None = None
    """Where an embedded data set lies, relative to the project; others lie where each machine has them."""


@dataclass(frozen=True)
class Step:
    """A job that was done."""

    path: Path
    """Of its receipt."""
    receipt: Receipt
    executions: tuple[Execution, ...]
    """That ended in it, the earliest first."""
    name: str
    used: tuple[str, ...]
    """Keys of the sources that it read."""

    @property
    def files(self) -> dict[str, tuple[str, int]]:
        """By path, SHA-256 and bytes of every file that it left beside its receipt."""
        left = self.receipt.artifacts
        return {(self.path.parent / name).as_posix(): (file.sha256, file.bytes) for name, file in left.items()}

    @property
    def execution(self) -> Execution:
        """The earliest execution that ended in the receipt."""
        return self.executions[0]


@dataclass(frozen=True)
class Story:
    """The lineage of some results."""

    scale: str
    targets: tuple[Path, ...]
    steps: Mapping[Path, Step]
    """By receipt, the nearest first."""
    sources: Mapping[str, Source]
    people: People


def story(plan: Plan, paths: list[Path]) -> Story:
    """The lineage of the receipts at some paths.

    Raises:
        UserError: a receipt is missing or was changed.
    """
    found = walk(paths)
    steps: dict[Path, Step] = {}
    sources: dict[str, Source] = {}
    for path, receipt in found.items():
        used = {source.key: source for source in _sources(plan.resolved.params, receipt)}
        sources |= used
        name = path.parent.as_posix().partition(f"/{receipt.scale}/")[2] or path.parent.as_posix()
        ended = tuple(executions_of(path, receipt.id))
        steps[path] = Step(path, receipt, ended, name, tuple(used))
    who = people((each.commit for step in steps.values() for each in step.executions), found)
    return Story(plan.scale, tuple(paths), steps, sources, who)


def _sources(params: Params, receipt: Receipt) -> Iterator[Source]:
    declared = receipt.settings.get("dataset")
    if isinstance(declared, dict):
        digest = str(receipt.results["digest"])
        folder = str(declared["root"]) if "generated" in receipt.inputs else None
        yield Source(f"data/{digest}", "data set", declared["title"], declared["licence"], digest, declared["source"], folder)
    file = receipt.settings.get("released")
    if isinstance(file, dict):
        key = receipt.key["released"]
        known = params.released.files.get(key)
        found = str(receipt.results["sha256"]) if "sha256" in receipt.results else file["sha256"]
        licence, origin = (known.licence, known.url) if known is not None else (NOT_STATED, NOT_STATED)
        yield Source(f"released/{key}", "released weights", file["file"], licence, found, origin)
    teacher = receipt.settings.get("teacher")
    if isinstance(teacher, dict) and teacher.get("kind") != "row":
        # Licence and data are no settings: they decide no bit. They stand where the teacher is declared.
        names = [name for name, each in params.teachers.items() if each.model_dump(exclude={"data", "licence", "note"}) == teacher]
        row = params.rows.get(receipt.key.get("row", ""))
        name = next((name for name in names if row is not None and name in (row.teacher, row.from_teacher)), next(iter(names), None))
        licence, saw = (params.teachers[name].licence, params.teachers[name].data) if name is not None else (NOT_STATED, NOT_STATED)
        title = " ".join(str(value) for key, value in teacher.items() if key in ("kind", "model", "network", "path") and value is not None)
        taken = receipt.results.get("teacher_sha256")
        yield Source(f"teacher/{name or title}", "teacher", title, licence, str(taken) if taken else None, f"data it saw: {saw}")
