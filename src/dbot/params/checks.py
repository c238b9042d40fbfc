"""What no single section can know of params.yaml: that its parts fit each other."""

from collections.abc import Iterable, Iterator

from dbot.params import row_checks
from dbot.params.datasets import MEASURED_ON
from dbot.params.document import Params
from dbot.params.recipes import AsymmetricPretrain, SymmetricPretrain
from dbot.params.section import Problem, one_of
from dbot.params.source import KeyPath
from dbot.params.teachers import FileTeacher

ROW_NAME = "letters, digits, - and _, starting with a letter"


def cross_check(params: Params, scale: str) -> list[Problem]:
    """Everything about the parts that doesn't fit together, in the order of the file."""
    problems = [
        *_names(params),
        *_datasets(params),
        *_architectures(params),
        *_recipes(params),
        *_dense_recipes(params),
        *_transfer(params),
        *_shift(params),
        *_released(params),
        *_teachers(params),
        *_sweeps(params),
        *row_checks.rows(params),
        *_targets(params),
        *_hardware(params),
    ]
    # Cycles can only be looked for once every name leads somewhere, and chains only be walked without them.
    return problems or list(row_checks.cycles(params)) or list(row_checks.controls(params))


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
        yield from one_of(("uses", use), name, params.datasets, "data set")
    labelled: dict[KeyPath, str] = {("uses", "cls"): params.uses.cls}
    for section, sets in (("transfer", params.transfer.sets), ("shift", params.shift.sets)):
        labelled |= {(section, "sets", i): name for i, name in enumerate(sets)}
    for where, name in labelled.items():
        if name in params.datasets and params.datasets[name].has_no_labels:
            remedy = "must be a set with labels; one of layout images serves under uses.pretrain alone"
            yield Problem(where, f"is {name!r}, whose images have none", remedy)
    for name, dataset in params.datasets.items():
        if dataset.embedded and not dataset.layouts:
            yield Problem(("datasets", name, "layouts"), "is missing", "name the layout that `dbot generate` shall write")
        if dataset.embedded and not dataset.root:
            yield Problem(("datasets", name, "root"), "is null", "name the folder that `dbot generate` shall write")
        if dataset.embedded and dataset.layouts:
            measured_on = dataset.layouts[0] in MEASURED_ON
            if measured_on != (dataset.embedded.train == 0):
                remedy = f"must be {'0' if measured_on else 'above 0'}: a set of layout {dataset.layouts[0]} "
                remedy += "has no training part" if measured_on else "is trained on"
                yield Problem(("datasets", name, "embedded", "train"), f"is {dataset.embedded.train}", remedy)
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
    """What detection and segmentation can't do, and their figures that go in pairs."""
    for kind, recipes in (("detect", params.recipes.detect), ("segment", params.recipes.segment)):
        for name, recipe in recipes.items():
            if recipe.deterministic:
                remedy = "must be false: torch has no deterministic form of some of its operations on a GPU"
                yield Problem(("recipes", kind, name, "deterministic"), "is true", remedy)
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
        yield from one_of(("transfer", "sets", i), name, params.datasets, "data set")
    for name, own in params.transfer.figures.items():
        here: KeyPath = ("transfer", "figures", name)
        yield from one_of(here, name, params.datasets, "data set")
        longest = max((recipe.warmup_epochs for recipe in params.recipes.transfer.values()), default=0)
        if own.epochs is not None and own.epochs <= longest:
            yield Problem((*here, "epochs"), f"is {own.epochs}", f"must be more than warmup_epochs = {longest:g} of recipes.transfer")


def _shift(params: Params) -> Iterator[Problem]:
    """Sets are declared, and are measured as what they are."""
    for i, name in enumerate(params.shift.sets):
        yield from one_of(("shift", "sets", i), name, params.datasets, "data set")
    for name, own in params.shift.figures.items():
        here: KeyPath = ("shift", "figures", name)
        yield from one_of(here, name, params.datasets, "data set")
        layouts = params.datasets[name].layouts if name in params.datasets else []
        if own.score == "corruptions" and layouts and "corruptions" not in layouts:
            yield Problem((*here, "score"), "is corruptions", f"needs a set of layout corruptions, and {name} is of {layouts[0]}")


def _symmetric(here: KeyPath, recipe: SymmetricPretrain) -> Iterator[Problem]:
    blocks = recipe.blocks
    if blocks.minimum > blocks.patches:
        yield Problem((*here, "blocks", "minimum"), f"is {blocks.minimum}", f"must be at most patches = {blocks.patches}")
    if not (recipe.relative_positions or recipe.absolute_positions):
        remedy = "must be true where absolute_positions is false, or the student can't know where a patch is"
        yield Problem((*here, "relative_positions"), "is false", remedy)


def _released(params: Params) -> Iterator[Problem]:
    for name, declared in params.released.files.items():
        here: KeyPath = ("released", "files", name)
        yield from one_of((*here, "row"), declared.row, params.table_rows, "row")
        if "/" in declared.file or declared.file in ("", ".", ".."):
            yield Problem((*here, "file"), f"is {declared.file!r}", "must be the name of a file, without a folder")


def _teachers(params: Params) -> Iterator[Problem]:
    for name, teacher in params.teachers.items():
        if isinstance(teacher, FileTeacher) and (teacher.mean is None) != (teacher.std is None):
            yield Problem(("teachers", name, "mean"), "goes with std", "give both or neither")


def _sweeps(params: Params) -> Iterator[Problem]:
    """A sweep varies a row, and its variants have names that can be told apart. Of a row without distillation there is nothing to vary."""
    for name, sweep in params.sweeps.items():
        here: KeyPath = ("sweeps", name)
        yield from one_of((*here, "row"), sweep.row, params.table_rows, "row")
        names = [variant.name for variant in sweep.variants]
        for i, variant in enumerate(names):
            if variant in names[:i]:
                yield Problem((*here, "variants", i, "name"), f"is {variant!r}", "stands there twice; rename one of them")
        for i, cell in enumerate(sweep.published.cells if sweep.published else ()):
            yield from one_of((*here, "published", "cells", i, "variant"), cell.variant, names, "variant")


def _targets(params: Params) -> Iterator[Problem]:
    yield from one_of(("scale",), params.scale, params.scales, "scale")
    for i, name in enumerate(params.build.rows):
        yield from one_of(("build", "rows", i), name, params.table_rows, "row")
    for key, values in params.build.model_dump().items():
        for i, value in enumerate(values):
            if value in values[:i]:
                yield Problem(("build", key, i), f"is {value!r}", "stands there twice; name it once")
    for rule, sizes in params.resources.items():
        for size in sizes:
            if size != "any" and size not in params.architectures:
                yield Problem(("resources", rule, size), "is not an architecture", f"use any, or one of: {', '.join(params.architectures)}")


def _hardware(params: Params) -> Iterator[Problem]:
    yield from one_of(("hardware", "use"), params.hardware.use, params.hardware.kinds, "kind of hardware")
    for name, kind in params.hardware.kinds.items():
        here: KeyPath = ("hardware", "kinds", name)
        for rule, sizes in kind.images_per_second.items():
            for size in sizes:
                if size != "any" and size not in params.architectures:
                    known = ", ".join(params.architectures)
                    yield Problem((*here, "images_per_second", rule, size), "is not an architecture", f"use any, or one of: {known}")
        if kind.price is not None and kind.currency is None:
            yield Problem((*here, "currency"), "is null", "say what the price is in, as EUR")
