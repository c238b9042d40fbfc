"""From params.yaml to validated parameters of one scale."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dbot.errors import UserError
from dbot.params.checks import Problem, cross_check
from dbot.params.document import Params
from dbot.params.source import KeyPath, Origin, Tree, dotted, merge, read_yaml

DEFAULT_FILE = Path("params.yaml")


@dataclass(frozen=True)
class Resolved:
    """The parameters of one scale, and where each of them came from."""

    params: Params
    scale: str
    origins: Mapping[KeyPath, Origin]
    file: Path

    def origin(self, *path: str | int) -> Origin | None:
        """Where the value at ``path`` was written; None for a default of the model."""
        return self.origins.get(path)


def load(file: Path = DEFAULT_FILE, scale: str | None = None) -> Resolved:
    """Read, merge and validate the parameters of a scale (None: the one that the file names).

    Raises:
        UserError: one line for each thing that is wrong, naming key, value and what is allowed.
    """
    document = read_yaml(file)
    scale = scale or document.data.get("scale")
    scales = document.data.get("scales")
    if not isinstance(scales, dict) or scale not in scales:
        known = ", ".join(scales) if isinstance(scales, dict) else "none"
        raise UserError(f"{file}: there is no scale {scale!r}; declared under `scales` are: {known}")

    tree = document
    overrides = scales[scale].get("overrides") if isinstance(scales[scale], dict) else None
    if isinstance(overrides, dict):
        tree = merge(document, document.at("scales", scale, "overrides"))
    for kind in ("pretrain", "finetune"):
        tree = _extend(tree, ("recipes", kind), file)

    try:
        params = Params.model_validate(tree.data)
    except ValidationError as error:
        raise UserError(*_lines(file, tree, _problems(error, tree.data))) from None
    if problems := cross_check(params, scale):
        raise UserError(*_lines(file, tree, problems))
    return Resolved(params, scale, tree.origins, file)


def _extend(tree: Tree, section: KeyPath, file: Path) -> Tree:
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
                if parent not in recipes.data or parent in (*heirs, name):
                    reason = "would extend itself" if parent in recipes.data else "does not exist"
                    known = ", ".join(k for k in recipes.data if k != name)
                    raise UserError(
                        f"{file}:{where.line}: {dotted((*section, name, 'extends'))} is {parent!r}, which {reason}; recipes are: {known}"
                    )
                recipe = merge(expand(parent, (*heirs, name)), recipe)
                data = {k: v for k, v in recipe.data.items() if k != "extends"}
                recipe = Tree(data, {p: o for p, o in recipe.origins.items() if p[:1] != ("extends",)})
            done[name] = recipe
        return done[name]

    for name in recipes.data:
        tree = _replace(tree, (*section, name), expand(name, ()))
    return tree


def _replace(tree: Tree, path: KeyPath, part: Tree) -> Tree:
    def put(data: Any, keys: KeyPath) -> Any:
        return part.data if not keys else {**data, keys[0]: put(data[keys[0]], keys[1:])}

    cut = len(path)
    kept = {p: o for p, o in tree.origins.items() if p[:cut] != path}
    return Tree(put(tree.data, path), {**kept, **{(*path, *p): o for p, o in part.origins.items()}})


def _problems(error: ValidationError, data: Any) -> Iterable[Problem]:
    for e in error.errors(include_url=False):
        path = _in_file(e["loc"], data)
        if e["type"] == "extra_forbidden":
            allowed = _keys_of(Params, path[:-1], data)
            near = difflib.get_close_matches(str(path[-1]), allowed, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            yield Problem(path, "is not a key", f"{hint}keys here are: {', '.join(allowed)}")
        elif e["type"] == "missing":
            yield Problem(path, "is missing", "add it")
        elif e["type"] in ("union_tag_invalid", "union_tag_not_found"):
            tag = str(e["ctx"]["discriminator"]).strip("'")
            found = e["input"].get(tag) if isinstance(e["input"], dict) else e["input"]
            yield Problem((*path, tag), f"is {found!r}", f"must be one of {e['ctx'].get('expected_tags', 'the known kinds')}")
        else:
            message = e["msg"].replace("Input should be", "must be").replace("Value error, ", "")
            yield Problem(path, f"is {e['input']!r}", message[0].lower() + message[1:])


def _in_file(loc: tuple[str | int, ...], data: Any) -> KeyPath:
    """Pydantic's location without the tags of unions, which are not keys of the file."""
    path: list[str | int] = []
    for i, key in enumerate(loc):
        last = i == len(loc) - 1
        if isinstance(data, dict) and key in data:
            data = data[key]
        elif isinstance(data, list) and isinstance(key, int) and key < len(data):
            data = data[key]
        elif not last:
            continue
        path.append(key)
    return tuple(path)


def _keys_of(model: Any, path: KeyPath, data: Any) -> list[str]:
    """The keys that the model allows at ``path``."""
    from dbot.params.describe import model_at

    found = model_at(model, path, data)
    return list(found.model_fields) if found is not None else []


def _lines(file: Path, tree: Tree, problems: Iterable[Problem]) -> list[str]:
    lines = []
    for problem in problems:
        path = problem.path
        while path and path not in tree.origins:
            path = path[:-1]
        origin = tree.origins.get(path)
        where = f"{file}:{origin.line}" if origin else f"{file}"
        lines.append(f"{where}: {dotted(problem.path)} {problem.what}: {problem.remedy}")
    return lines
