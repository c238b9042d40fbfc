"""Sweeps: one row of the table varied, as rows of their own.

A sweep is expanded before params.yaml is validated, so what it makes are rows and recipes like
any other: `dbot params --row <name>` shows them, and their jobs leave ordinary receipts.
"""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, NonNegativeInt

from dbot.base.errors import UserError
from dbot.params.dense import KINDS
from dbot.params.rows import Column
from dbot.params.section import Section
from dbot.params.source import KeyPath, Origin, Tree

Stages = Annotated[list[NonNegativeInt], Field(min_length=1)]


class Variant(Section):
    """What differs from the sweep's row."""

    name: str
    """Letters, digits, - and _; part of the names of its rows: `<sweep>-<variant>-<stages>`."""
    title: str
    """How figures and tables call it."""
    teacher: str | None = None
    """Another first teacher. Null: the row's."""
    pretrain: dict[str, Any] = Field(default_factory=dict)
    """Figures of the pre-training recipe that differ."""


class PublishedCell(Section):
    """A number that others published for a cell of a sweep."""

    variant: str
    """Name of the variant."""
    stages: NonNegativeInt
    """Number of stages."""
    column: Column
    """Column."""
    value: float
    """In %."""


class PublishedDeviation(Section):
    """A published standard deviation over the variants of a sweep."""

    stages: NonNegativeInt
    """Number of stages."""
    column: Column
    """Column."""
    value: float
    """In points."""


class PublishedSweep(Section):
    """What others published for a sweep."""

    cells: list[PublishedCell] = Field(default_factory=list)
    """Single numbers."""
    deviations: list[PublishedDeviation] = Field(default_factory=list)
    """Standard deviations over the variants."""
    source: str
    """Where they stand."""


class Sweep(Section):
    """A row varied: every variant is measured after each number of stages."""

    title: str
    """What is varied, in a few words."""
    row: str
    """The row that is varied."""
    variants: Annotated[list[Variant], Field(min_length=1)]
    """The variants, in the order of the figure."""
    stages: Stages
    """Numbers of stages after which variants are measured. 0: the first teacher itself is fine-tuned, if it is random or timm's."""
    columns: Annotated[list[Column], Field(min_length=1)]
    """Columns that are measured."""
    published: PublishedSweep | None = None
    """Published numbers, shown beside ours and never in their place."""


def row_name(sweep: str, variant: str, stages: int) -> str:
    """The row of a cell."""
    return f"{sweep}-{variant}-{stages}"


def expand_sweeps(tree: Tree) -> Tree:
    """Add to `rows` and `recipes` what the sweeps declare. What isn't well-formed is left to the validation.

    Raises:
        UserError: a row that a sweep makes is there already.
    """
    sweeps, rows = (tree.data.get(key) for key in ("sweeps", "rows"))
    if not isinstance(sweeps, dict) or not isinstance(rows, dict):
        return tree
    added: list[tuple[KeyPath, Any, Origin]] = []
    for name, declared in sweeps.items():
        try:
            sweep = Sweep.model_validate(declared)
        except ValueError:
            continue
        base = rows.get(sweep.row)
        if not isinstance(base, dict) or not _is_whole(base, tree.data):
            continue  # what is wrong with the row is said once, of the row
        for number, variant in enumerate(sweep.variants):
            here: KeyPath = ("sweeps", name, "variants", number)
            for path, value in _made(name, sweep, variant, base, tree.data):
                if path[0] == "rows" and path[1] in rows:
                    where = tree.origins[here].place
                    raise UserError(f"{where}: sweeps.{name} makes row {path[1]}, which is there already: rename one of them")
                added.append((path, value, tree.origins[here]))
    return _with(tree, added)


def _is_whole(row: dict[str, Any], data: dict[str, Any]) -> bool:
    """Whether it says how many stages it has, and all that it names is there."""
    recipes = data.get("recipes")
    if not isinstance(row.get("stages"), dict):
        return False
    places = (
        (data.get("teachers"), row.get("teacher")),
        (data.get("architectures"), row.get("architecture")),
        *((recipes.get(kind) if isinstance(recipes, dict) else None, row.get("recipe")) for kind in ("pretrain", "finetune")),
    )
    return all(isinstance(section, dict) and isinstance(name, str) and name in section for section, name in places)


def _made(name: str, sweep: Sweep, variant: Variant, base: dict[str, Any], data: dict[str, Any]) -> list[tuple[KeyPath, dict[str, Any]]]:
    """Recipes and rows of a variant, and where they go."""
    made: list[tuple[KeyPath, dict[str, Any]]] = []
    recipe = base["recipe"]
    if variant.pretrain:
        recipe = f"{name}-{variant.name}"
        for kind in KINDS:
            recipes = data["recipes"].get(kind)
            if isinstance(recipes, dict) and base["recipe"] in recipes:
                differs = variant.pretrain if kind == "pretrain" else {}
                made.append((("recipes", kind, recipe), {"extends": base["recipe"], **differs}))
    teacher = variant.teacher or base["teacher"]
    # A variant in which nothing differs takes the students of the row itself, if it has as many.
    own = max((count for count in base["stages"].values() if isinstance(count, int)), default=0)
    borrowed = sweep.row if teacher == base["teacher"] and not variant.pretrain and own >= max(sweep.stages) else None
    last = max(sweep.stages)
    for stages in sorted(sweep.stages, reverse=True):
        row: dict[str, Any] = {
            "architecture": base["architecture"],
            "title": f"{variant.title}, {stages} stages",
            "recipe": recipe,
            "sweep": name,
        }
        if stages == 0:
            declared = data["teachers"].get(teacher)
            taught = declared.get("kind") if isinstance(declared, dict) else None
            if taught not in ("random", "timm"):
                continue  # there is no student of ours that it could be
            if taught == "random" and not variant.pretrain and teacher == base["teacher"] and isinstance(base.get("control"), str):
                row["columns_from"] = dict.fromkeys(sweep.columns, base["control"])
            row |= {"from_scratch": True} if taught == "random" else {"from_teacher": teacher}
        else:
            row |= {"teacher": teacher, "stages": dict.fromkeys(("cls", *sweep.columns), stages)}
            if borrowed is not None:
                row["chain"] = borrowed
                # Its cells after so many stages are there already, and are not measured twice.
                row["columns_from"] = {column: borrowed for column in sweep.columns if base["stages"].get(column) == stages}
            elif stages != last:
                row["chain"] = row_name(name, variant.name, last)
        made.append((("rows", row_name(name, variant.name, stages)), row))
    return made


def _with(tree: Tree, added: list[tuple[KeyPath, Any, Origin]]) -> Tree:
    """A tree with values added, each at a path whose first key is there."""

    def put(data: Any, keys: KeyPath, value: Any) -> Any:
        return value if not keys else {**data, keys[0]: put(data.get(keys[0], {}), keys[1:], value)}

    def paths(at: KeyPath, data: Any) -> Iterator[KeyPath]:
        yield at
        for key, part in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
            yield from paths((*at, key), part)

    data, origins = tree.data, dict(tree.origins)
    for path, value, origin in added:
        data = put(data, path, value)
        origins.update(dict.fromkeys(paths(path, value), origin))
    return Tree(data, origins)
