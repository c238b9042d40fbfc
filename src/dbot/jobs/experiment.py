"""What declarations of jobs ask of a scale's parameters: its rows, their networks and what these start from, shared settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from dbot.base.errors import UserError
from dbot.jobs.kind import Beginning, Checkpoint
from dbot.params.document import Params
from dbot.params.load import Resolved
from dbot.params.rows import Column, Row
from dbot.params.source import KeyPath
from dbot.params.teachers import FileTeacher, RandomTeacher, RowTeacher, TimmTeacher, has_attention

Declared = TypeVar("Declared")

NOT_COMPUTED_WITH = {"data", "licence", "note"}
"""What is said of a teacher for people to read."""
IF_STATED = {"entry", "heads", "activation", "mean", "std"}
"""What is only said of a teacher's file where it isn't as usual."""
DRAWN = {"design", "seed", "decoder", "initial_std", "layer_scale", "relative_positions", "absolute_positions"}
"""Fields of pre-training recipes that decide the first weights of a student, and so those of a random teacher."""


FINETUNED = 2
"""As what, among the networks of a row that starts from released files, the fine-tuned one is measured; the pre-trained one is 1."""


@dataclass(frozen=True)
class Experiment:
    """The parameters of one scale."""

    resolved: Resolved

    @property
    def scale(self) -> str:
        return self.resolved.scale

    @cached_property
    def params(self) -> Params:
        return self.resolved.params

    def row(self, name: str) -> Row:
        """A row's declaration.

        Raises:
            UserError: there is no such row.
        """
        return self.named("rows", self.params.rows, name)

    def named(self, section: str, declared: Mapping[str, Declared], name: str) -> Declared:
        """What a section of params.yaml has under a name.

        Raises:
            UserError: it has nothing of that name.
        """
        if name not in declared:
            raise UserError(f"{self.resolved.file}: there is no {name!r} under `{section}`; declared are: {', '.join(declared)}")
        return declared[name]

    def require_column(self, row: str, column: Column) -> None:
        """Refuse a column that a row doesn't have.

        Raises:
            UserError: it doesn't.
        """
        columns = self.params.columns(row)
        if column not in columns:
            raise UserError(f"row {row} has no column {column}; it has: {', '.join(columns)}")

    def is_transferred(self, row: str) -> bool:
        """Whether a row is transferred: from a student or random weights, if there is a recipe for it."""
        declared = self.row(row)
        return declared.recipe in self.params.recipes.transfer and (declared.from_scratch or bool(self.stages_of(row)))

    def stages_of(self, row: str, columns: list[Column] | None = None) -> list[int]:
        """The networks of a row, before any fine-tuning: 0 for its first teacher, then its stages, as far as some columns need them.

        Released weights stand in for one stage, whatever theirs was.
        """
        declared = self.row(row)
        if declared.released is not None:
            return [] if self.params.released.files[declared.released].is_classifier else [1]
        if declared.stages is None:
            return []
        wanted = self.params.columns(row) if columns is None else columns
        last = max((getattr(declared.stages, column) or 0 for column in wanted), default=0)
        return list(range(last + 1)) if last else []

    def networks_of(self, row: str, columns: list[Column] | None = None) -> list[int]:
        """The networks of a row that are probed and analysed: those before any fine-tuning, and a fine-tuned one that was released."""
        return [*self.stages_of(row, columns), *([FINETUNED] if self.finetuned_file(row) is not None else [])]

    def finetuned_file(self, row: str) -> str | None:
        """The released file that stands in for a row's fine-tuning. None: it is trained here."""
        declared = self.row(row)
        name = declared.finetuned or declared.released
        return name if name is not None and self.params.released.files[name].is_classifier else None

    def has_attention(self, row: str, stage: int) -> bool:
        """Whether the insides of a row's network can be measured: those of every student, and of teachers that are plain ViTs."""
        declared = self.row(row)
        return stage > 0 or declared.teacher is None or has_attention(self.params.teachers[declared.teacher])

    def stands_for(self, row: str, stage: int) -> tuple[str, int]:
        """The row and stage under which a network is probed and analysed, so that none is twice.

        A first teacher that is the student of another row is found there; one that rows share, under the first of them.
        """
        declared = self.row(row)
        if stage > 0 and declared.chain is not None:
            return declared.chain, stage
        if stage > 0 or declared.teacher is None:
            return row, stage
        teacher = self.params.teachers[declared.teacher]
        if isinstance(teacher, RowTeacher):
            last = self.stages_of(teacher.row)[-1]
            return teacher.row, last if teacher.stage == "last" else min(teacher.stage, last)
        settings, _ = self.first_teacher(declared)
        rows = self.params.rows.items()
        return next(name for name, other in rows if other.teacher is not None and self.first_teacher(other)[0] == settings), 0

    def architecture(self, name: str) -> dict[str, Any]:
        """The figures of an architecture, as settings."""
        return self.params.architectures[name].model_dump(exclude={"title"})

    def architecture_sources(self, name: str) -> list[KeyPath]:
        """Where they stand."""
        return [("architectures", name, field) for field in self.architecture(name)]

    def of_recipe(self, row: Row, section: str, recipe: dict[str, Any]) -> tuple[dict[str, Any], list[KeyPath]]:
        """Settings of a job that builds a row's network by a recipe, and the keys that they were read from.

        Args:
            row: whose architecture it is.
            section: of the recipes.
            recipe: what the job uses of the row's recipe.
        """
        settings = {
            "architecture": self.architecture(row.architecture),
            "recipe": recipe,
            "normalisation": self.params.normalisation.model_dump(),
        }
        here = ("recipes", section, row.recipe)
        return settings, [*self.architecture_sources(row.architecture), *((*here, field) for field in recipe), ("normalisation",)]

    def of_teacher(self, name: str) -> tuple[dict[str, Any], list[KeyPath]]:
        """What is computed with of a teacher's declaration, and the keys that it was read from."""
        declared = self.params.teachers[name].model_dump(exclude=NOT_COMPUTED_WITH)
        settings = {key: value for key, value in declared.items() if value is not None or key not in IF_STATED}
        return settings, [("teachers", name, field) for field in settings]

    def first_teacher(self, row: Row) -> tuple[dict[str, Any], list[KeyPath]]:
        """What decides which network teaches a row's first stage, and where that stands."""
        teacher = self.params.teacher_of(row)
        own, sources = self.of_teacher(str(row.teacher))
        settings: dict[str, Any] = {"teacher": own}
        if isinstance(teacher, RandomTeacher | FileTeacher):  # others name pixel statistics of their own
            settings["normalisation"] = self.params.normalisation.model_dump()
            sources.append(("normalisation",))
        if isinstance(teacher, RandomTeacher):
            settings["architecture"] = self.architecture(row.architecture)
            settings["recipe"] = self.params.recipes.pretrain[row.recipe].model_dump(include=DRAWN)
            sources += self.architecture_sources(row.architecture)
            sources += (("recipes", "pretrain", row.recipe, field) for field in settings["recipe"])
        return settings, sources


def whole_number(key: str, text: str | int) -> int:
    """The number in a wildcard.

    Raises:
        UserError: it is none.
    """
    if not str(text).isdecimal():
        raise UserError(f"--{key} is {text!r}: must be a whole number")
    return int(text)


def with_teacher(experiment: Experiment, row: Row, settings: dict[str, Any]) -> list[KeyPath]:
    """Put the teacher that a row fine-tunes among the settings of its training, if it does; returns where that was read from."""
    if row.from_teacher is None:
        return []
    settings["teacher"], sources = experiment.of_teacher(row.from_teacher)
    return sources


def start_of(given: Beginning) -> Checkpoint | None:
    """The weights that a job starts from, named as a student's; None where it starts from random ones."""
    if "start" in given.job.inputs:
        return given.checkpoint("start")
    name = given.params.rows[given.job.key["row"]].from_teacher
    if name is None:
        return None
    from dbot.models.teachers.networks import timm_teacher

    declared = given.params.teachers[name]
    assert isinstance(declared, TimmTeacher), f"teacher {name} can't be fine-tuned"
    weights = timm_teacher(declared, final_norm=True).network.state_dict()
    own = {f"encoder.{key}": tensor for key, tensor in weights.items() if not key.startswith(("head", "fc_norm"))}
    return Checkpoint(own, {}, f"teacher {name}")
