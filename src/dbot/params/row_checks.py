"""That rows fit the networks, recipes, teachers and rows that they name."""

from collections.abc import Iterator

from dbot.params.dense import Dense
from dbot.params.document import Params
from dbot.params.recipes import SymmetricPretrain
from dbot.params.rows import Row
from dbot.params.section import Problem, one_of
from dbot.params.source import KeyPath
from dbot.params.teachers import ONLY_TEACHERS, ReleasedFile, RowTeacher, TimmTeacher


def rows(params: Params) -> Iterator[Problem]:
    """What doesn't fit about rows and about the teachers that are students of rows."""
    for name, row in params.rows.items():
        here: KeyPath = ("rows", name)
        yield from one_of((*here, "architecture"), row.architecture, params.architectures, "architecture")
        yield from one_of((*here, "recipe"), row.recipe, params.recipes.finetune, "fine-tuning recipe")
        yield from _start(params, here, row)
        yield from _design(params, here, row)
        yield from _blocks(params, row)
        yield from _stage_lengths(params, row)
        yield from _dense(params, here, row)
        yield from _columns_from(params, here, row)
        for key, other in (("finetuned_from", row.finetuned_from), ("control", row.control)):
            if other is not None:
                yield from one_of((*here, key), other, params.table_rows, "row")
        if row.architecture in params.architectures and row.recipe in params.recipes.finetune:
            architecture = params.architectures[row.architecture]
            size = params.recipes.finetune[row.recipe].image_size
            if size is not None and size % architecture.patch_size:
                yield Problem(
                    ("recipes", "finetune", row.recipe, "image_size"),
                    f"is {size}",
                    f"must be a multiple of patch_size = {architecture.patch_size} of architecture {row.architecture}",
                )
    for name, teacher in params.teachers.items():
        if isinstance(teacher, RowTeacher):
            yield from one_of(("teachers", name, "row"), teacher.row, params.table_rows, "row")
            if (taught := params.rows.get(teacher.row)) is None:
                continue
            if taught.released is not None and taught.released in params.released.files:
                if params.released.files[taught.released].is_classifier:
                    yield Problem(
                        ("teachers", name, "row"), f"is {teacher.row!r}", "that row's released file is fine-tuned; name another row"
                    )
            elif taught.last_stage == 0:
                yield Problem(("teachers", name, "row"), f"is {teacher.row!r}", "that row has no stages of distillation; name one that has")
            elif isinstance(teacher.stage, int) and teacher.stage > taught.last_stage:
                yield Problem(("teachers", name, "stage"), f"is {teacher.stage}", f"row {teacher.row} has {taught.last_stage} stages")


def _start(params: Params, here: KeyPath, row: Row) -> Iterator[Problem]:
    starts = [key for key in ("teacher", "released", "finetuned_from", "from_teacher", "from_scratch") if getattr(row, key)]
    if len(starts) != 1:
        what = f"starts in {len(starts)} ways ({', '.join(starts)})" if starts else "does not say where it starts"
        yield Problem(here, what, "give exactly one of teacher, released, finetuned_from, from_teacher and from_scratch")
    if (row.stages is not None) != (row.teacher is not None):
        yield Problem((*here, "stages"), "goes with teacher", "give both or neither")
    if row.released is not None:
        yield from one_of((*here, "released"), row.released, params.released.files, "released file")
        if row.released in params.released.files:
            yield from _released_start(params, here, "released", row, params.released.files[row.released])
    if row.finetuned is not None:
        yield from one_of((*here, "finetuned"), row.finetuned, params.released.files, "released file")
        if row.finetuned in params.released.files:
            yield from _released_start(params, here, "finetuned", row, params.released.files[row.finetuned])
            yield from _finetuned(params, here, row)
    if row.from_teacher is not None:
        yield from one_of((*here, "from_teacher"), row.from_teacher, params.teachers, "teacher")
        taught = params.teachers.get(row.from_teacher)
        if taught is not None and not isinstance(taught, TimmTeacher):
            yield Problem(
                (*here, "from_teacher"),
                f"is {row.from_teacher!r}",
                f"a teacher of kind {taught.kind} can't be fine-tuned; name one of kind timm",
            )
    if row.chain is not None:
        yield from _chain(params, here, row)
    if row.teacher is not None:
        yield from one_of((*here, "teacher"), row.teacher, params.teachers, "teacher")
        yield from one_of((*here, "recipe"), row.recipe, params.recipes.pretrain, "pre-training recipe")


def _finetuned(params: Params, here: KeyPath, row: Row) -> Iterator[Problem]:
    """A fine-tuned file stands beside the pre-trained one."""
    before = params.released.files.get(row.released or "")
    if before is None or before.is_classifier:
        yield Problem((*here, "finetuned"), "goes with released", "name the pre-trained file there; one that is fine-tuned can stand alone")
    if row.finetuned is not None and not params.released.files[row.finetuned].is_classifier:
        yield Problem((*here, "finetuned"), f"is {row.finetuned!r}", "that file is not fine-tuned; name it at released")


def _released_start(params: Params, here: KeyPath, key: str, row: Row, file: ReleasedFile) -> Iterator[Problem]:
    """A row that starts from released weights must be of their architecture and design."""
    name = getattr(row, key)
    of = params.rows.get(file.row)
    if of is not None and of.architecture != row.architecture:
        yield Problem((*here, key), f"is {name!r}", f"that file is of architecture {of.architecture}, the row of {row.architecture}")
    if file.layout in ONLY_TEACHERS:
        wanted = f"a network of layout {file.layout} can only teach; declare it under teachers, with kind: file"
        yield Problem((*here, key), f"is {name!r}", wanted)
    recipe, design = params.recipes.finetune.get(row.recipe), "symmetric" if file.is_symmetric else "asymmetric"
    if recipe is not None and recipe.design != design:
        wanted = f"must be a recipe of the {design} design, since released file {name} has layout {file.layout}"
        yield Problem((*here, "recipe"), f"is {row.recipe!r}", wanted)


def _chain(params: Params, here: KeyPath, row: Row) -> Iterator[Problem]:
    """The row whose students are taken must make them in the same way."""
    assert row.chain is not None
    yield from one_of((*here, "chain"), row.chain, params.rows, "row")
    other = params.rows.get(row.chain)
    if other is not None:
        alike = all(getattr(row, key) == getattr(other, key) for key in ("architecture", "recipe", "teacher"))
        if not alike or other.chain is not None or row.teacher is None or other.last_stage < row.last_stage:
            yield Problem(
                (*here, "chain"),
                f"is {row.chain!r}",
                "must have the same architecture, recipe and teacher, as many stages, and no chain of its own",
            )


def _design(params: Params, here: KeyPath, row: Row) -> Iterator[Problem]:
    """A student can only be fine-tuned as what it is."""
    recipe, pretrained = params.recipes.finetune.get(row.recipe), params.recipes.pretrain.get(row.recipe)
    if recipe is None:
        return
    transfer = params.recipes.transfer.get(row.recipe)
    if transfer is not None and transfer.design != recipe.design:
        what = f"must be {recipe.design}, as recipes.finetune.{row.recipe} is"
        yield Problem(("recipes", "transfer", row.recipe, "design"), f"is {transfer.design}", what)
    if row.teacher is not None and pretrained is not None and pretrained.design != recipe.design:
        what = f"must be {pretrained.design}, as recipes.pretrain.{row.recipe} is"
        yield Problem(("recipes", "finetune", row.recipe, "design"), f"is {recipe.design}", what)
    before = params.rows.get(row.finetuned_from or "")
    start = params.recipes.finetune.get(before.recipe) if before else None
    if start is not None and start.design != recipe.design:
        wanted = f"must be a recipe of the {start.design} design, as the start is; this one is {recipe.design}"
        yield Problem((*here, "recipe"), f"is {row.recipe!r}", wanted)


def _blocks(params: Params, row: Row) -> Iterator[Problem]:
    """Block-wise masks must leave patches to see, and a block must find room (it never spans the grid)."""
    recipe, architecture = params.recipes.pretrain.get(row.recipe) if row.teacher else None, params.architectures.get(row.architecture)
    if not isinstance(recipe, SymmetricPretrain) or architecture is None:
        return
    here = ("recipes", "pretrain", row.recipe, "blocks")
    grid, blocks = architecture.grid, recipe.blocks
    if blocks.patches >= grid**2:
        what = f"must be less than the {grid}x{grid} patches of architecture {row.architecture}"
        yield Problem((*here, "patches"), f"is {blocks.patches}", what)
    elif blocks.minimum > (grid - 1) ** 2:
        what = f"must fit inside the {grid}x{grid} patches of architecture {row.architecture}"
        yield Problem((*here, "minimum"), f"is {blocks.minimum}", what)


def _stage_lengths(params: Params, row: Row) -> Iterator[Problem]:
    """Lengths by stage are those of every stage, each longer than the warm-up."""
    recipe = params.recipes.pretrain.get(row.recipe) if row.teacher else None
    if recipe is None or recipe.stage_epochs is None:
        return
    here = ("recipes", "pretrain", row.recipe, "stage_epochs")
    if len(recipe.stage_epochs) < row.last_stage:
        yield Problem(here, f"has {len(recipe.stage_epochs)} entries", f"must have one for each of the {row.last_stage} stages of a row")
    for number, epochs in enumerate(recipe.stage_epochs):
        if epochs <= recipe.warmup_epochs:
            yield Problem((*here, number), f"is {epochs}", f"must be more than warmup_epochs = {recipe.warmup_epochs:g}")


def _dense(params: Params, here: KeyPath, row: Row) -> Iterator[Problem]:
    """Detectors and segmenters are built on what the student is."""
    architecture = params.architectures.get(row.architecture)
    for column, kind in (("det", "detect"), ("seg", "segment")):
        recipe: Dense | None = getattr(params.recipes, kind).get(row.recipe)
        at = ("recipes", kind, row.recipe)
        if recipe is None:
            if row.stages is not None and getattr(row.stages, column) is not None:
                yield from one_of((*here, "recipe"), row.recipe, getattr(params.recipes, kind), f"recipe of recipes.{kind}")
            continue
        pretrained = params.recipes.pretrain.get(row.recipe)
        if pretrained is not None and pretrained.design != recipe.design:
            yield Problem((*at, "design"), f"is {recipe.design}", f"must be {pretrained.design}, as recipes.pretrain.{row.recipe} is")
        if architecture is not None and column in params.columns(str(here[-1])) and column not in row.columns_from:
            if max(recipe.taps) != architecture.depth - 1:
                what = f"its highest must be {architecture.depth - 1}, the last block of architecture {row.architecture}"
                yield Problem((*at, "taps"), f"is {recipe.taps}", what)
            if architecture.patch_size % 4:
                what = f"must be a multiple of 4 for column {column}, whose finest map has a quarter of it"
                yield Problem(("architectures", row.architecture, "patch_size"), f"is {architecture.patch_size}", what)


def _columns_from(params: Params, here: KeyPath, row: Row) -> Iterator[Problem]:
    """A column's other row must have the column itself."""
    for column, other in row.columns_from.items():
        at = (*here, "columns_from", column)
        yield from one_of(at, other, params.table_rows, "row")
        if other in params.rows and (column in params.rows[other].columns_from or column not in params.columns(other)):
            yield Problem(at, f"is {other!r}", f"that row has no column {column} of its own; name one that has")


def cycles(params: Params) -> Iterator[Problem]:
    """A row that would have to be trained before itself."""

    def before(name: str) -> tuple[str, str] | None:
        row = params.rows[name]
        if row.finetuned_from is not None:
            return "finetuned_from", row.finetuned_from
        teacher = params.teachers[row.teacher] if row.teacher is not None else None
        return ("teacher", teacher.row) if isinstance(teacher, RowTeacher) else None

    for name in params.rows:
        chain, step = [name], before(name)
        while step is not None and step[1] not in chain:
            chain.append(step[1])
            step = before(step[1])
        if step is not None and step[1] == name:
            key = before(name)
            assert key is not None
            yield Problem(("rows", name, key[0]), "closes a cycle", f"{' <- '.join([*chain, name])}; give one of these rows another start")
            return


def controls(params: Params) -> Iterator[Problem]:
    """A control is the same fine-tuning from random weights, or the report's sentence about it would be false."""
    for name, row in params.rows.items():
        if row.control is not None and _finetunings(params, row) != _finetunings(params, params.rows[row.control], scratch=True):
            yield Problem(
                ("rows", name, "control"),
                f"is {row.control!r}",
                f"must have the architecture and the fine-tunings of {name}, and start from_scratch",
            )


def _finetunings(params: Params, row: Row, scratch: bool = False) -> list[tuple[str, str]]:
    """Architecture and recipe of every fine-tuning in the row's chain; empty for a control that isn't from scratch."""
    found = [(row.architecture, row.recipe)]
    while row.finetuned_from is not None:
        row = params.rows[row.finetuned_from]
        found.append((row.architecture, row.recipe))
    return found if row.from_scratch or not scratch else []
