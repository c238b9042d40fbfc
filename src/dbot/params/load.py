"""From params.yaml, and what it includes, to validated parameters of one scale."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dbot.base.errors import UserError
from dbot.params.checks import cross_check
from dbot.params.dense import KINDS
from dbot.params.document import INCLUDE, Params, read_parts
from dbot.params.recipes import Pretrain
from dbot.params.section import Problem, lines, model_at
from dbot.params.source import KeyPath, Origin, Tree, dotted, merge, shown
from dbot.params.sweeps import expand_sweeps
from dbot.params.teachers import Teacher

DEFAULT_FILE = Path("params.yaml")
Validated = TypeVar("Validated", bound=BaseModel)


def _kinds(union: Any, tag: str) -> list[str]:
    """The values of the key that tells a union's sections apart."""
    return [get_args(section.model_fields[tag].annotation)[0] for section in get_args(get_args(union)[0])]


TAGS = {"kind": _kinds(Teacher, "kind"), "design": _kinds(Pretrain, "design")}


@dataclass(frozen=True)
class Resolved:
    """The parameters of one scale, and where each of them came from."""

    params: Params
    scale: str
    origins: Mapping[KeyPath, Origin]
    file: Path

    @property
    def files(self) -> list[Path]:
        """The file, and those that it includes."""
        return list(dict.fromkeys([self.file, *(origin.file for origin in self.origins.values())]))

    def origin(self, *path: str | int) -> Origin | None:
        """Where the value at ``path`` was written; None for a default of the model."""
        return self.origins.get(path)


def load(file: Path = DEFAULT_FILE, scale: str | None = None) -> Resolved:
    """Read, merge and validate the parameters of a scale (None: the one that the file names).

    Raises:
        UserError: one line for each thing that is wrong, naming key, value and what is allowed.
    """
    document = read_parts(file)
    scale = document.data.get("scale") if scale is None else scale
    scales = document.data.get("scales")
    if not (isinstance(scales, dict) and isinstance(scale, str) and scale in scales):
        known = ", ".join(scales) if isinstance(scales, dict) else "none"
        raise UserError(f"{file}: scale is {shown(scale)}: there is no scale of that name; declared under `scales` are: {known}")

    tree = document
    for name in _chain(document, scale):
        overrides = scales[name].get("overrides") if isinstance(scales[name], dict) else None
        if isinstance(overrides, dict):
            for key in ("version", INCLUDE, "scale", "scales"):
                if key in overrides:
                    where = document.origins["scales", name, "overrides", key].place
                    raise UserError(f"{where}: scales.{name}.overrides.{key} is not a key: a scale can't override it; take it out")
            tree = _without(merge(tree, document.at("scales", name, "overrides")), list(_taken_out(overrides)))
    for kind in KINDS:
        tree = _extend(tree, ("recipes", kind))
    tree = expand_sweeps(tree)
    for kind in KINDS:
        tree = _extend(tree, ("recipes", kind))

    params = validated(Params, tree, file)
    if problems := cross_check(params, scale):
        raise UserError(*lines(file, tree.origins, problems))
    return Resolved(params, scale, tree.origins, file)


def _chain(document: Tree, scale: str) -> list[str]:
    """A scale after the one that it extends, and that after its own."""
    scales, chain = document.data["scales"], [scale]
    while isinstance(scales[chain[0]], dict) and (parent := scales[chain[0]].get("extends")) is not None:
        path = ("scales", chain[0], "extends")
        if not (isinstance(parent, str) and parent in scales) or parent in chain:
            reason = "would extend itself" if parent in chain else "does not exist"
            known = ", ".join(name for name in scales if name not in chain)
            raise UserError(f"{document.origins[path].place}: {dotted(path)} is {shown(parent)}, which {reason}: scales are: {known}")
        chain.insert(0, parent)
    return chain


def _taken_out(overrides: Mapping[str, Any]) -> Iterator[KeyPath]:
    """What a scale has null in place of: rows, and columns that others are the source of."""
    rows = overrides.get("rows")
    for name, row in rows.items() if isinstance(rows, dict) else ():
        if row is None:
            yield "rows", name
        columns = row.get("columns_from") if isinstance(row, dict) else None
        for column, other in columns.items() if isinstance(columns, dict) else ():
            if other is None:
                yield "rows", name, "columns_from", column


def _without(tree: Tree, paths: Sequence[KeyPath]) -> Tree:
    """A tree without what lies at some paths."""

    def kept(data: Any, at: KeyPath) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: kept(part, (*at, key)) for key, part in data.items() if (*at, key) not in paths}

    if not paths:
        return tree
    origins = {path: origin for path, origin in tree.origins.items() if not any(path[: len(each)] == each for each in paths)}
    return Tree({**tree.data, "rows": kept(tree.data["rows"], ("rows",))}, origins)


def validated(model: type[Validated], tree: Tree, file: Path) -> Validated:
    """What a file holds, as its model has it.

    Raises:
        UserError: one line for each value that the model refuses.
    """
    try:
        return model.model_validate(tree.data)
    except ValidationError as error:
        raise UserError(*lines(file, tree.origins, _problems(error, tree.data, model))) from None


def _extend(tree: Tree, section: KeyPath) -> Tree:
    """Replace every recipe that says ``extends`` by its parent with its own keys laid on top."""
    try:
        recipes = tree.at(*section)
    except (KeyError, TypeError):
        return tree
    if not isinstance(recipes.data, dict):
        return tree
    done: dict[str, Tree] = {}

    def expand(name: str, heirs: tuple[str, ...]) -> Tree:
        if name not in done:
            recipe = recipes.at(name)
            parent = recipe.data.get("extends") if isinstance(recipe.data, dict) else None
            if parent is not None:
                where = recipe.origins[("extends",)]
                exists = isinstance(parent, str) and parent in recipes.data
                if not exists or parent in (*heirs, name):
                    reason = "would extend itself" if exists else "does not exist"
                    known = ", ".join(k for k in recipes.data if k != name)
                    key = dotted((*section, name, "extends"))
                    raise UserError(f"{where.place}: {key} is {shown(parent)}, which {reason}: recipes are: {known}")
                recipe = merge(expand(parent, (*heirs, name)), recipe)
                data = {k: v for k, v in recipe.data.items() if k != "extends"}
                recipe = Tree(data, {p: o for p, o in recipe.origins.items() if p[:1] != ("extends",)})
            done[name] = recipe
        return done[name]

    expanded = {name: expand(name, ()) for name in recipes.data}
    top, kind = section
    data = {**tree.data, top: {**tree.data[top], kind: {name: recipe.data for name, recipe in expanded.items()}}}
    origins = {path: origin for path, origin in tree.origins.items() if len(path) < 3 or path[:2] != section}
    for name, recipe in expanded.items():
        origins.update({(top, kind, name, *path): origin for path, origin in recipe.origins.items()})
    return Tree(data, origins)


ALLOWED = {
    "bool_type": "must be true or false",
    "string_type": "must be text; put it in quotes if YAML takes it for something else",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "too_short": "must have at least {min_length:g} entries",
    "too_long": "must have at most {max_length:g} entries",
    "multiple_of": "must be a multiple of {multiple_of:g}",
    "string_pattern_mismatch": "must match {pattern}",
}
"""What is allowed, by pydantic's kind of error, in the terms of the file."""


def _problems(error: ValidationError, data: Any, model: type[BaseModel]) -> Iterable[Problem]:
    found: dict[tuple[KeyPath, str], Problem] = {}
    for e in error.errors(include_url=False):
        problem = _problem(e, data, model)
        other = found.get((problem.path, problem.what))
        if other is not None and problem.remedy.startswith("must be "):
            # The kinds of a union each say what they allow.
            allowed = problem.remedy.removeprefix("must be ")
            problem = other if other.remedy.endswith(allowed) else Problem(problem.path, problem.what, f"{other.remedy}, or {allowed}")
        found[problem.path, problem.what] = problem
    return found.values()


def _problem(e: ErrorDetails, data: Any, model: type[BaseModel]) -> Problem:
    path = _in_file(e["loc"], data, e["type"] == "missing")
    if e["type"] == "extra_forbidden":
        allowed = _keys_of(model, path[:-1], data)
        near = difflib.get_close_matches(str(path[-1]), allowed, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return Problem(path, "is not a key", f"{hint}keys here are: {', '.join(allowed)}")
    if e["type"] == "missing":
        return Problem(path, "is missing", "add it")
    if e["type"] in ("union_tag_invalid", "union_tag_not_found"):
        tag = str(e["ctx"]["discriminator"]).strip("'")
        kinds = f"must be one of {', '.join(TAGS[tag])}"
        if not isinstance(e["input"], dict):
            return Problem(path, f"is {shown(e['input'])}", f"must be a mapping, with a key {tag}")
        return Problem((*path, tag), f"is {shown(e['input'][tag])}" if tag in e["input"] else "is missing", kinds)
    return Problem(path, f"is {shown(e['input'])}", ALLOWED.get(e["type"], e["msg"]).format(**e.get("ctx", {})))


def _in_file(loc: tuple[str | int, ...], data: Any, missing: bool) -> KeyPath:
    """Pydantic's location without the names of a union's kinds, which are not keys of the file.

    Only of a ``missing`` value is the last key not there.
    """
    path: list[str | int] = []
    tagged = False
    for key in loc:
        if isinstance(data, dict) and not tagged and any(data.get(tag) == key and key in kinds for tag, kinds in TAGS.items()):
            tagged = True
            continue
        tagged = False
        if isinstance(data, dict) and (key in data or missing):
            data = data.get(key)
        elif isinstance(data, list) and isinstance(key, int) and key < len(data):
            data = data[key]
        else:
            break
        path.append(key)
    return tuple(path)


def _keys_of(model: Any, path: KeyPath, data: Any) -> list[str]:
    """The keys that the model allows at ``path``."""
    found = model_at(model, path, data)
    return list(found.model_fields) if found is not None else []
