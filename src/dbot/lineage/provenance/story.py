"""What a lineage consists of: jobs that were done, and what came from outside, with its licence."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dbot.lineage.executions import Execution, executions_of
from dbot.lineage.provenance.people import People, people
from dbot.lineage.receipt import Receipt
from dbot.lineage.walk import walk
from dbot.params.document import Params
from dbot.plan import Plan

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
