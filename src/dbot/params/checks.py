"""What no single section can know of params.yaml: that its parts fit each other."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dbot.params.dense import Dense
from dbot.params.document import Params
from dbot.params.recipes import AsymmetricPretrain, SymmetricPretrain
from dbot.params.released import ReleasedFile
from dbot.params.rows import Row
from dbot.params.source import KeyPath
from dbot.params.teachers import RowTeacher, TimmTeacher

JOBS = ("generate", "prepare", "fetch", "distill", "finetune", "transfer", "detect", "segment", "evaluate", "probe", "analyse", "compare")
RULES = (*JOBS, "calibrate")
"""Rules whose resources params.yaml states."""

ROW_NAME = "letters, digits, - and _, starting with a letter"


@dataclass(frozen=True)
class Problem:
    """Something wrong at a key: what it is, and what would be right."""

    path: KeyPath
    what: str
    remedy: str


def cross_check(params: Params, scale: str) -> list[Problem]:
    """Everything about the parts that doesn't fit together, in the order of the file."""
    problems = [
        *_names(params),
        *_datasets(params),
        *_architectures(params),
        *_recipes(params),
        *_dense_recipes(params),
        *_transfer(params),
        *_released(params),
        *_sweeps(params),
        *_rows(params),
        *_targets(params),
        *_hardware(params),
    ]
    # Cycles can only be looked for once every name leads somewhere, and chains only be walked without them.
    return problems or list(_cycles(params)) or list(_controls(params))


def _one_of(path: KeyPath, value: str, known: Iterable[str], noun: str) -> Iterator[Problem]:
    if value not in known:
        yield Problem(path, f"is {value!r}", f"there is no {noun} of that name; declared are: {', '.join(known) or 'none'}")


def _names(params: Params) -> Iterator[Problem]:
    """Names become folder and target names, so they may not lead elsewhere."""
    groups: dict[KeyPath, Iterable[str]] = {
        ("rows",): params.rows,
        ("datasets",): params.datasets,
        ("released", "files"): params.released.files,
        ("sweeps",): params.sweeps,
        ("scales",): params.scales,
    }
    for section, names in groups.items():
        for name in names:
            plain = name.replace("-", "").replace("_", "")
            if not (plain.isascii() and plain.isalnum() and name[0].isalpha()):
                yield Problem((*section, name), f"is not a usable name ({name!r})", f"use {ROW_NAME}")


def _datasets(params: Params) -> Iterator[Problem]:
    for use, name in params.uses.model_dump().items():
        yield from _one_of(("uses", use), name, params.datasets, "data set")
    for name, dataset in params.datasets.items():
        if dataset.embedded and not dataset.root:
            yield Problem(("datasets", name, "root"), "is null", "name the folder that `dbot generate` shall write")
        if dataset.copies == "pixels" and dataset.short_side is None:
            yield Problem(("datasets", name, "copies"), "is 'pixels'", "needs `short_side`, the size that images are shrunk to, say 256")
        if dataset.embedded and dataset.embedded.scene:
            for key, (low, high) in dataset.embedded.scene.model_dump().items():
                if low > high:
                    yield Problem(
                        ("datasets", name, "embedded", "scene", key), f"is {[low, high]}", "must be two numbers, the smaller first"
                    )


def _architectures(params: Params) -> Iterator[Problem]:
    for name, a in params.architectures.items():
        here = ("architectures", name)
        if a.image_size % a.patch_size:
            yield Problem((*here, "patch_size"), f"is {a.patch_size}", f"must divide image_size = {a.image_size}")
        if a.width % a.heads:
            yield Problem((*here, "heads"), f"is {a.heads}", f"must divide width = {a.width}")
        if a.width % 4:
            yield Problem((*here, "width"), f"is {a.width}", "must be a multiple of 4 for sin-cos positions in two dimensions")


def _recipes(params: Params) -> Iterator[Problem]:
    for kind, recipes in (
        ("pretrain", params.recipes.pretrain),
        ("finetune", params.recipes.finetune),
        ("transfer", params.recipes.transfer),
    ):
        for name, recipe in recipes.items():
            here = ("recipes", kind, name)
            if recipe.warmup_epochs >= recipe.epochs:
                yield Problem(
                    (*here, "epochs"),
                    f"is {recipe.epochs}",
                    f"must be more than warmup_epochs = {recipe.warmup_epochs:g}, or the schedule never leaves its warm-up",
                )
            low, high = recipe.augmentation.crop_scale
            if not low <= high <= 1:
                yield Problem(
                    (*here, "augmentation", "crop_scale"), f"is {[low, high]}", "must be two shares, the smaller first, at most 1"
                )
            if isinstance(recipe, AsymmetricPretrain) and recipe.decoder.depth:
                decoder = recipe.decoder
                if decoder.width % decoder.heads or decoder.width % 4:
                    yield Problem(
                        (*here, "decoder", "width"), f"is {decoder.width}", f"must be a multiple of 4 and of heads = {decoder.heads}"
                    )
            if isinstance(recipe, SymmetricPretrain):
                yield from _symmetric(here, recipe)


def _dense_recipes(params: Params) -> Iterator[Problem]:
    """Figures of detection and segmentation that go in pairs."""
    for name, detect in params.recipes.detect.items():
        here: KeyPath = ("recipes", "detect", name)
        proposals, sides = detect.proposals, detect.augmentation.crop_sides
        if proposals.negative_iou > proposals.positive_iou:
            what = f"must be at most positive_iou = {proposals.positive_iou}"
            yield Problem((*here, "proposals", "negative_iou"), f"is {proposals.negative_iou}", what)
        if sides[0] > sides[1]:
            yield Problem((*here, "augmentation", "crop_sides"), f"is {sides}", "must be two sides, the smaller first")
    for name, segment in params.recipes.segment.items():
        here = ("recipes", "segment", name)
        inference, jitter = segment.inference, segment.augmentation.scale_jitter
        if inference.stride > inference.window:
            what = f"must be at most window = {inference.window}, or pixels between windows are never labelled"
            yield Problem((*here, "inference", "stride"), f"is {inference.stride}", what)
        if jitter[0] > jitter[1]:
            yield Problem((*here, "augmentation", "scale_jitter"), f"is {jitter}", "must be two factors, the smaller first")


def _transfer(params: Params) -> Iterator[Problem]:
    """Sets are declared, and are trained on for longer than the warm-up."""
    for i, name in enumerate(params.transfer.sets):
        yield from _one_of(("transfer", "sets", i), name, params.datasets, "data set")
    for name, own in params.transfer.figures.items():
        here: KeyPath = ("transfer", "figures", name)
        yield from _one_of(here, name, params.datasets, "data set")
        longest = max((recipe.warmup_epochs for recipe in params.recipes.transfer.values()), default=0)
        if own.epochs is not None and own.epochs <= longest:
            yield Problem((*here, "epochs"), f"is {own.epochs}", f"must be more than warmup_epochs = {longest:g} of recipes.transfer")


def _symmetric(here: KeyPath, recipe: SymmetricPretrain) -> Iterator[Problem]:
    blocks = recipe.blocks
    if blocks.minimum > blocks.patches:
        yield Problem((*here, "blocks", "minimum"), f"is {blocks.minimum}", f"must be at most patches = {blocks.patches}")
    if not (recipe.relative_positions or recipe.absolute_positions):
        remedy = "must be true where absolute_positions is false, or the student can't know where a patch is"
        yield Problem((*here, "relative_positions"), "is false", remedy)


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


def _dense(params: Params, here: KeyPath, row: Row) -> Iterator[Problem]:
    """Detectors and segmenters are built on what the student is."""
    architecture = params.architectures.get(row.architecture)
    for column, kind in (("det", "detect"), ("seg", "segment")):
        recipe: Dense | None = getattr(params.recipes, kind).get(row.recipe)
        at = ("recipes", kind, row.recipe)
        if recipe is None:
            if row.stages is not None and getattr(row.stages, column) is not None:
                yield from _one_of((*here, "recipe"), row.recipe, getattr(params.recipes, kind), f"recipe of recipes.{kind}")
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
        yield from _one_of(at, other, params.table_rows, "row")
        if other in params.rows and (column in params.rows[other].columns_from or column not in params.columns(other)):
            yield Problem(at, f"is {other!r}", f"that row has no column {column} of its own; name one that has")


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


def _released(params: Params) -> Iterator[Problem]:
    for name, declared in params.released.files.items():
        here: KeyPath = ("released", "files", name)
        yield from _one_of((*here, "row"), declared.row, params.table_rows, "row")
        if "/" in declared.file or declared.file in ("", ".", ".."):
            yield Problem((*here, "file"), f"is {declared.file!r}", "must be the name of a file, without a folder")


def _rows(params: Params) -> Iterator[Problem]:
    for name, row in params.rows.items():
        here: KeyPath = ("rows", name)
        yield from _one_of((*here, "architecture"), row.architecture, params.architectures, "architecture")
        yield from _one_of((*here, "recipe"), row.recipe, params.recipes.finetune, "fine-tuning recipe")
        yield from _start(params, here, row)
        yield from _design(params, here, row)
        yield from _blocks(params, row)
        yield from _stage_lengths(params, row)
        yield from _dense(params, here, row)
        yield from _columns_from(params, here, row)
        for key, other in (("finetuned_from", row.finetuned_from), ("control", row.control)):
            if other is not None:
                yield from _one_of((*here, key), other, params.table_rows, "row")
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
            yield from _one_of(("teachers", name, "row"), teacher.row, params.table_rows, "row")
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
        yield from _one_of((*here, "released"), row.released, params.released.files, "released file")
        if row.released in params.released.files:
            yield from _released_start(params, here, row, params.released.files[row.released])
    if row.from_teacher is not None:
        yield from _one_of((*here, "from_teacher"), row.from_teacher, params.teachers, "teacher")
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
        yield from _one_of((*here, "teacher"), row.teacher, params.teachers, "teacher")
        yield from _one_of((*here, "recipe"), row.recipe, params.recipes.pretrain, "pre-training recipe")


def _chain(params: Params, here: KeyPath, row: Row) -> Iterator[Problem]:
    """The row whose students are taken must make them in the same way."""
    assert row.chain is not None
    yield from _one_of((*here, "chain"), row.chain, params.rows, "row")
    other = params.rows.get(row.chain)
    if other is not None:
        alike = all(getattr(row, key) == getattr(other, key) for key in ("architecture", "recipe", "teacher"))
        if not alike or other.chain is not None or row.teacher is None or other.last_stage < row.last_stage:
            yield Problem(
                (*here, "chain"),
                f"is {row.chain!r}",
                "must have the same architecture, recipe and teacher, as many stages, and no chain of its own",
            )


def _sweeps(params: Params) -> Iterator[Problem]:
    """A sweep varies a row, and its variants have names that can be told apart. Of a row without distillation there is nothing to vary."""
    for name, sweep in params.sweeps.items():
        here: KeyPath = ("sweeps", name)
        yield from _one_of((*here, "row"), sweep.row, params.table_rows, "row")
        names = [variant.name for variant in sweep.variants]
        for i, variant in enumerate(names):
            if variant in names[:i]:
                yield Problem((*here, "variants", i, "name"), f"is {variant!r}", "stands there twice; rename one of them")
        for i, cell in enumerate(sweep.published.cells if sweep.published else ()):
            yield from _one_of((*here, "published", "cells", i, "variant"), cell.variant, names, "variant")


def _released_start(params: Params, here: KeyPath, row: Row, file: ReleasedFile) -> Iterator[Problem]:
    """A row that starts from released weights must be of their architecture and design."""
    of = params.rows.get(file.row)
    if of is not None and of.architecture != row.architecture:
        yield Problem(
            (*here, "released"), f"is {row.released!r}", f"that file is of architecture {of.architecture}, the row of {row.architecture}"
        )
    recipe, design = params.recipes.finetune.get(row.recipe), "symmetric" if file.is_symmetric else "asymmetric"
    if recipe is not None and recipe.design != design:
        wanted = f"must be a recipe of the {design} design, since released file {row.released} has layout {file.layout}"
        yield Problem((*here, "recipe"), f"is {row.recipe!r}", wanted)


def _targets(params: Params) -> Iterator[Problem]:
    yield from _one_of(("scale",), params.scale, params.scales, "scale")
    for i, name in enumerate(params.build.rows):
        yield from _one_of(("build", "rows", i), name, params.table_rows, "row")
    for key, values in params.build.model_dump().items():
        for i, value in enumerate(values):
            if value in values[:i]:
                yield Problem(("build", key, i), f"is {value!r}", "stands there twice; name it once")
    for rule, sizes in params.resources.items():
        if rule not in RULES:
            yield Problem(("resources", rule), "is not a rule", f"rules are: {', '.join(RULES)}")
        for size in sizes:
            if size != "any" and size not in params.architectures:
                yield Problem(("resources", rule, size), "is not an architecture", f"use any, or one of: {', '.join(params.architectures)}")


def _hardware(params: Params) -> Iterator[Problem]:
    yield from _one_of(("hardware", "use"), params.hardware.use, params.hardware.kinds, "kind of hardware")
    for name, kind in params.hardware.kinds.items():
        here: KeyPath = ("hardware", "kinds", name)
        for key, rules in (("share", (*JOBS, "any")), ("images_per_second", JOBS)):
            for rule in getattr(kind, key):
                if rule not in rules:
                    yield Problem((*here, key, rule), "is not a job", f"use one of: {', '.join(rules)}")
        for rule, sizes in kind.images_per_second.items():
            for size in sizes:
                if size != "any" and size not in params.architectures:
                    known = ", ".join(params.architectures)
                    yield Problem((*here, "images_per_second", rule, size), "is not an architecture", f"use any, or one of: {known}")
        if kind.price is not None and kind.currency is None:
            yield Problem((*here, "currency"), "is null", "say what the price is in, as EUR")


def _cycles(params: Params) -> Iterator[Problem]:
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


def _controls(params: Params) -> Iterator[Problem]:
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
