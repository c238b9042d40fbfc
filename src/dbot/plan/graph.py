"""Every job that a scale can have: what it reads, which parameters it uses, what it writes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from dbot.base.errors import UserError
from dbot.params.document import Params
from dbot.params.load import Resolved
from dbot.params.recipes import AsymmetricFinetune, SymmetricFinetune
from dbot.params.rows import Column, Row
from dbot.params.source import KeyPath
from dbot.params.teachers import FileTeacher, RandomTeacher, RowTeacher, has_attention
from dbot.params.transfer import TransferSet
from dbot.plan.job import DENSE, DENSE_ARTIFACTS, METRICS, MODEL, SIMILARITY, STUDENT, Job

Declared = TypeVar("Declared")

TRAINING_ONLY = {
    *("epochs", "warmup_epochs", "batch_size", "optimizer", "drop_path", "compile", "shortcuts", "non_finite", "seed"),
    *("augmentation", "evaluate_every"),
}
"""Fields of a dense recipe that say nothing of how its model is measured."""
DRAWN = {"design", "seed", "decoder", "initial_std", "layer_scale", "relative_positions", "absolute_positions"}
"""Fields of pre-training recipes that decide the first weights of a student, and so those of a random teacher."""


@dataclass(frozen=True)
class Graph:
    """The jobs of one scale, each made when it is asked for."""

    resolved: Resolved

    @property
    def scale(self) -> str:
        return self.resolved.scale

    @cached_property
    def params(self) -> Params:
        return self.resolved.params

    def job(self, verb: str, **key: str) -> Job:
        """The job of a rule for given wildcards.

        Raises:
            UserError: there is no such row, stage, data set or column.
        """
        makers: dict[str, Callable[..., Job]] = {
            "generate": self.generate,
            "prepare": self.prepare,
            "fetch": self.fetch,
            "distill": self.distill,
            "finetune": self.finetune,
            "transfer": self.transfer,
            "detect": self.detect,
            "segment": self.segment,
            "evaluate": self.evaluate,
            "probe": self.probe,
            "analyse": self.analyse,
            "compare": self.compare,
        }
        return makers[verb](**key)

    def generate(self, dataset: str) -> Job:
        """Drawing an embedded data set."""
        declared = self._named("datasets", self.params.datasets, dataset)
        if declared.embedded is None:
            raise UserError(f"data set {dataset} is not drawn by this project; get it from: {declared.source}")
        parts = {part: getattr(declared, part).model_dump(exclude={"count"}) for part in ("train", "validation")}
        settings = {"embedded": declared.embedded.model_dump(), "layout": declared.layouts[0], "root": declared.root, **parts}
        here = ("datasets", dataset)
        folders = tuple((*here, part, field) for part, fields in parts.items() for field in fields)
        sources = ((*here, "embedded"), (*here, "layouts"), (*here, "root"), *folders)
        return self._job("generate", {"dataset": dataset}, {}, settings, sources, ("files.tsv",))

    def prepare(self, dataset: str) -> Job:
        """Checking a data set and writing its manifest."""
        declared = self._named("datasets", self.params.datasets, dataset)
        inputs = {"generated": self.generate(dataset)} if declared.embedded else {}
        unused = {"embedded", *declared.unused}
        settings = {"dataset": declared.model_dump(exclude=unused)}
        sources = tuple(("datasets", dataset, field) for field in type(declared).model_fields if field not in unused)
        return self._job("prepare", {"dataset": dataset}, inputs, settings, sources, ("manifest.json", "samples.tsv"))

    def fetch(self, released: str) -> Job:
        """Taking over weights that others released."""
        files = self.params.released.files
        if released not in files:
            raise UserError(f"{self.resolved.file}: there is no {released!r} under `released.files`; declared are: {', '.join(files)}")
        declared = files[released]
        architecture = self.params.rows[declared.row].architecture
        content = declared.model_dump(include={"file", "sha256", "bytes", "layout"})
        settings = {"released": content, "architecture": self._architecture(architecture)}
        here = ("released", "files", released)
        sources = (*((*here, field) for field in content), *self._architecture_sources(architecture))
        return self._job("fetch", {"released": released}, {}, settings, sources, (STUDENT["fetch"],), architecture)

    def student(self, row: str, stage: str | int) -> Job:
        """What leaves a row's student: a stage of its distillation, or the file that stands in for all of them."""
        declared = self._row(row)
        return self.distill(row, stage) if declared.released is None else self.fetch(declared.released)

    def classifier(self, row: str, seed: str | int) -> Job:
        """What leaves a row's classifier: its fine-tuning, or the fine-tuned file that stands in for it."""
        declared = self._row(row)
        if declared.released is not None and self.params.released.files[declared.released].is_classifier:
            return self.fetch(declared.released)
        return self.finetune(row, seed)

    def distill(self, row: str, stage: str | int) -> Job:
        """One stage of a row's distillation."""
        declared = self._row(row)
        number = _number("stage", stage)
        if not 1 <= number <= declared.last_stage:
            raise UserError(f"row {row} has {declared.last_stage} stages of distillation; there is no stage {number}")
        if declared.chain is not None:
            return self.distill(declared.chain, number)
        inputs = {"data": self.prepare(self.params.uses.pretrain)}
        settings: dict[str, Any] = {
            "architecture": self._architecture(declared.architecture),
            "recipe": self.params.recipes.pretrain[declared.recipe].of_stage(number).model_dump(exclude={"monitor"}),
            "normalisation": self.params.normalisation.model_dump(),
            "stage": number,
        }
        sources = [
            *self._architecture_sources(declared.architecture),
            *(("recipes", "pretrain", declared.recipe, field) for field in settings["recipe"]),
            ("normalisation",),
        ]
        if number > 1:
            inputs["teacher"] = self.distill(row, number - 1)
        else:
            teacher = self.params.teacher_of(declared)
            settings["teacher"] = teacher.model_dump(exclude={"data", "licence", "note"})
            sources.extend(("teachers", declared.teacher, field) for field in settings["teacher"])
            if isinstance(teacher, RowTeacher):
                last = self.params.rows[teacher.row].last_stage
                inputs["teacher"] = self.student(teacher.row, last if teacher.stage == "last" else teacher.stage)
        key = {"row": row, "stage": str(number)}
        kept = ("optimizer.safetensors",) if settings["recipe"]["boundary"]["keep_optimizer"] else ()
        artifacts = ("student.safetensors", *kept, METRICS)
        return self._job("distill", key, inputs, settings, tuple(sources), artifacts, declared.architecture)

    def finetune(self, row: str, seed: str | int) -> Job:
        """Fine-tuning a row's classifier."""
        declared = self._row(row)
        inputs = {"data": self.prepare(self.params.uses.cls)}
        if declared.finetuned_from is not None:
            inputs["start"] = self.classifier(declared.finetuned_from, seed)
        elif declared.released is not None:
            inputs["start"] = self.fetch(declared.released)
        elif declared.stages is not None:
            inputs["start"] = self.distill(row, declared.stages.cls)
        recipe = self.params.recipes.finetune[declared.recipe].model_dump(exclude={"select"})
        settings, sources = self._of_recipe(declared, "finetune", recipe)
        settings["seed"] = _number("seed", seed)
        sources = self._with_teacher(declared, settings, sources)
        artifacts = ("last.safetensors", "best.safetensors", METRICS)
        return self._job("finetune", {"row": row, "seed": str(seed)}, inputs, settings, sources, artifacts, declared.architecture)

    def transfer(self, row: str, dataset: str, seed: str | int) -> Job:
        """Fine-tuning a row's student on a set that its pre-training has not seen, and measuring it there."""
        declared = self._row(row)
        sets = self.params.transfer.sets
        if dataset not in sets:
            raise UserError(f"{self.resolved.file}: there is no {dataset!r} under `transfer.sets`; declared are: {', '.join(sets)}")
        if not self.is_transferred(row):
            raise UserError(
                f"row {row} is not transferred: it needs a student or random weights to start from, and recipes.transfer.{declared.recipe}"
            )
        inputs = {"data": self.prepare(dataset)}
        if not declared.from_scratch:
            inputs["start"] = self.student(row, declared.stages.cls if declared.stages else 1)
        recipe = transfer_recipe(self.params, row, dataset).model_dump()
        settings, sources = self._of_recipe(declared, "transfer", recipe)
        settings["seed"] = _number("seed", seed)
        key = {"row": row, "dataset": dataset, "seed": str(seed)}
        sources += (("transfer", "figures", dataset),)
        return self._job("transfer", key, inputs, settings, sources, (MODEL, METRICS), declared.architecture)

    def detect(self, row: str, seed: str | int) -> Job:
        """Training a row's detector."""
        return self._dense("det", row, seed)

    def segment(self, row: str, seed: str | int) -> Job:
        """Training a row's segmenter."""
        return self._dense("seg", row, seed)

    def evaluate(self, row: str, column: Column, seed: str | int) -> Job:
        """Measuring one cell, for one seed."""
        declared = self._row(row)
        self._require_column(row, column)
        if column in declared.columns_from:
            return self.evaluate(declared.columns_from[column], column, seed)
        inputs = {"data": self.prepare(getattr(self.params.uses, column))}
        artifacts: tuple[str, ...] = ("metrics.json",)
        if column == "cls":
            verb, inputs["model"] = "finetune", self.classifier(row, seed)
            figures = {"design", "image_size", "pooling", "evaluation_resize", "select", "precision"}
            recipe = self.params.recipes.finetune[declared.recipe].model_dump(include=figures)
        else:
            verb, inputs["model"] = DENSE[column], self._dense(column, row, seed)
            recipe = getattr(self.params.recipes, verb)[declared.recipe].model_dump(exclude=TRAINING_ONLY)
            artifacts = ("metrics.json", *DENSE_ARTIFACTS[column])
        settings, sources = self._of_recipe(declared, verb, recipe)
        key = {"row": row, "column": column, "seed": str(seed)}
        return self._job("evaluate", key, inputs, settings, sources, artifacts, declared.architecture)

    def probe(self, row: str, stage: str | int) -> Job:
        """Probing a frozen network of a row: the student of a stage or, at stage 0, the first teacher."""
        return self._of_network("probe", "probes", row, stage, ("metrics.json",))

    def analyse(self, row: str, stage: str | int) -> Job:
        """Measuring the insides of a frozen network of a row: the student of a stage or, at stage 0, the first teacher."""
        if not self.has_attention(row, _number("stage", stage)):
            raise UserError(f"the first teacher of row {row} has no attention by layer and head; analyse the row's stages")
        return self._of_network("analyse", "analysis", row, stage, ("attention_distance.csv", "singular_shares.csv", "metrics.json"))

    def compare(self, row: str, other: str) -> Job:
        """Comparing the students that two rows are fine-tuned from."""
        inputs = {"data": self.prepare(self.params.uses.cls)}
        for role, name in (("student", row), ("second", other)):
            declared = self._row(name)
            if not [stage for stage in self.stages_of(name) if stage > 0]:
                raise UserError(f"row {name} has no student before its fine-tuning; name another row")
            inputs[role] = self.student(name, declared.stages.cls if declared.stages else 1)
        settings = {"analysis": self.params.analysis.model_dump(), "normalisation": self.params.normalisation.model_dump()}
        sources = (("analysis",), ("normalisation",))
        key = {"row": row, "other": other}
        architecture = self.params.rows[row].architecture
        return self._job("compare", key, inputs, settings, sources, (*SIMILARITY, "metrics.json"), architecture)

    def _dense(self, column: Column, row: str, seed: str | int) -> Job:
        declared, verb = self._row(row), DENSE[column]
        self._require_column(row, column)
        inputs = {"data": self.prepare(getattr(self.params.uses, column))}
        if declared.released is not None:
            inputs["start"] = self.fetch(declared.released)
        elif declared.stages is not None:
            inputs["start"] = self.distill(row, getattr(declared.stages, column))
        recipe = getattr(self.params.recipes, verb)[declared.recipe].model_dump(exclude={"inference"})
        settings, sources = self._of_recipe(declared, verb, recipe)
        settings["seed"] = _number("seed", seed)
        sources = self._with_teacher(declared, settings, sources)
        key = {"row": row, "seed": str(seed)}
        return self._job(verb, key, inputs, settings, sources, (MODEL, METRICS), declared.architecture)

    def _with_teacher(self, row: Row, settings: dict[str, Any], sources: tuple[KeyPath, ...]) -> tuple[KeyPath, ...]:
        """Put the teacher that a row fine-tunes among the settings of its training, if it does."""
        if row.from_teacher is None:
            return sources
        settings["teacher"] = self.params.teachers[row.from_teacher].model_dump(exclude={"data", "licence", "note"})
        return (*sources, *(("teachers", row.from_teacher, field) for field in settings["teacher"]))

    def _of_recipe(self, declared: Row, kind: str, recipe: dict[str, Any]) -> tuple[dict[str, Any], tuple[KeyPath, ...]]:
        """Settings of a job that builds a row's network by a recipe, and the keys that they were read from."""
        settings = {
            "architecture": self._architecture(declared.architecture),
            "recipe": recipe,
            "normalisation": self.params.normalisation.model_dump(),
        }
        here = ("recipes", kind, declared.recipe)
        return settings, (*self._architecture_sources(declared.architecture), *((*here, field) for field in recipe), ("normalisation",))

    def _of_network(self, verb: str, section: str, row: str, stage: str | int, artifacts: tuple[str, ...]) -> Job:
        declared, number = self._row(row), _number("stage", stage)
        if number not in self.stages_of(row):
            known = ", ".join(map(str, self.stages_of(row)))
            raise UserError(f"row {row} has no network of stage {number} before its fine-tuning; it has {known or 'none'}")
        if (found := self.stands_for(row, number)) != (row, number):
            at = f"--row {found[0]} --stage {found[1]}"
            raise UserError(f"the first teacher of row {row} is also a network of row {found[0]}; ask for {at}")
        inputs = {"data": self.prepare(self.params.uses.cls)}
        if number > 0:
            inputs["student"] = self.student(row, number)
            settings: dict[str, Any] = {"normalisation": self.params.normalisation.model_dump()}
            sources: tuple[KeyPath, ...] = (("normalisation",),)
        else:
            settings, sources = self._first_teacher(declared)
        settings = {section: getattr(self.params, section).model_dump(), **settings}
        key = {"row": row, "stage": str(number)}
        return self._job(verb, key, inputs, settings, ((section,), *sources), artifacts, declared.architecture)

    def _first_teacher(self, row: Row) -> tuple[dict[str, Any], tuple[KeyPath, ...]]:
        """What decides which network teaches a row's first stage, and where that stands."""
        teacher = self.params.teacher_of(row)
        settings: dict[str, Any] = {"teacher": teacher.model_dump(exclude={"data", "licence", "note"})}
        sources: list[KeyPath] = [("teachers", str(row.teacher), field) for field in settings["teacher"]]
        if isinstance(teacher, RandomTeacher | FileTeacher):  # others name pixel statistics of their own
            settings["normalisation"] = self.params.normalisation.model_dump()
            sources.append(("normalisation",))
        if isinstance(teacher, RandomTeacher):
            settings["architecture"] = self._architecture(row.architecture)
            settings["recipe"] = self.params.recipes.pretrain[row.recipe].model_dump(include=DRAWN)
            sources += self._architecture_sources(row.architecture)
            sources += (("recipes", "pretrain", row.recipe, field) for field in settings["recipe"])
        return settings, tuple(sources)

    def _require_column(self, row: str, column: Column) -> None:
        columns = self.params.columns(row)
        if column not in columns:
            raise UserError(f"row {row} has no column {column}; it has: {', '.join(columns)}")

    def is_transferred(self, row: str) -> bool:
        """Whether a row is transferred: from a student or random weights, if there is a recipe for it."""
        declared = self._row(row)
        return declared.recipe in self.params.recipes.transfer and (declared.from_scratch or bool(self.stages_of(row)))

    def stages_of(self, row: str, columns: list[Column] | None = None) -> list[int]:
        """The networks of a row, before any fine-tuning: 0 for its first teacher, then its stages, as far as some columns need them.

        Released weights stand in for one stage, whatever theirs was.
        """
        declared = self._row(row)
        if declared.released is not None:
            return [] if self.params.released.files[declared.released].is_classifier else [1]
        if declared.stages is None:
            return []
        wanted = self.params.columns(row) if columns is None else columns
        last = max((getattr(declared.stages, column) or 0 for column in wanted), default=0)
        return list(range(last + 1)) if last else []

    def has_attention(self, row: str, stage: int) -> bool:
        """Whether the insides of a row's network can be measured: those of every student, and of teachers that are plain ViTs."""
        declared = self._row(row)
        return stage > 0 or declared.teacher is None or has_attention(self.params.teachers[declared.teacher])

    def stands_for(self, row: str, stage: int) -> tuple[str, int]:
        """The row and stage under which a network is probed and analysed, so that none is twice.

        A first teacher that is the student of another row is found there; one that rows share, under the first of them.
        """
        declared = self._row(row)
        if stage > 0 and declared.chain is not None:
            return declared.chain, stage
        if stage > 0 or declared.teacher is None:
            return row, stage
        teacher = self.params.teachers[declared.teacher]
        if isinstance(teacher, RowTeacher):
            last = self.stages_of(teacher.row)[-1]
            return teacher.row, last if teacher.stage == "last" else min(teacher.stage, last)
        settings, _ = self._first_teacher(declared)
        rows = self.params.rows.items()
        return next(name for name, other in rows if other.teacher is not None and self._first_teacher(other)[0] == settings), 0

    def _architecture(self, name: str) -> dict[str, Any]:
        return self.params.architectures[name].model_dump(exclude={"title"})

    def _architecture_sources(self, name: str) -> list[KeyPath]:
        return [("architectures", name, field) for field in self._architecture(name)]

    def _row(self, name: str) -> Row:
        return self._named("rows", self.params.rows, name)

    def _named(self, section: str, declared: Mapping[str, Declared], name: str) -> Declared:
        if name not in declared:
            raise UserError(f"{self.resolved.file}: there is no {name!r} under `{section}`; declared are: {', '.join(declared)}")
        return declared[name]

    def _job(
        self,
        verb: str,
        key: dict[str, str],
        inputs: dict[str, Job],
        settings: dict[str, Any],
        sources: tuple[KeyPath, ...],
        artifacts: tuple[str, ...],
        architecture: str = "any",
    ) -> Job:
        return Job(verb, self.scale, key, inputs, settings, sources, artifacts, architecture)


def transfer_recipe(params: Params, row: str, dataset: str) -> AsymmetricFinetune | SymmetricFinetune:
    """The recipe of a row's transfer to a set: that of its design, with what the set has of its own."""
    recipe, own = params.recipes.transfer[params.rows[row].recipe], params.transfer.figures.get(dataset, TransferSet())
    erase = {} if own.random_erase is None else {"random_erase": own.random_erase}
    length = {} if own.epochs is None else {"epochs": own.epochs}
    return recipe.model_copy(update={**length, "augmentation": recipe.augmentation.model_copy(update=erase)})


def _number(key: str, text: str | int) -> int:
    """The number in a wildcard."""
    if not str(text).isdecimal():
        raise UserError(f"--{key} is {text!r}: must be a whole number")
    return int(text)
