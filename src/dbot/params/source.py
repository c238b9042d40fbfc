"""Reading YAML so that every value still knows its file and line, and merging without forgetting it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dbot.base.errors import UserError

KeyPath = tuple[str | int, ...]
"""Keys from the top of a document down to a value."""


@dataclass(frozen=True)
class Origin:
    """Where a value was written: its key, the file, and the line there."""

    key: str
    file: Path
    line: int

    @property
    def place(self) -> str:
        """``params.yaml:12``."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Tree:
    """Plain data, and the origin of every value in it by key path."""

    data: Any
    origins: Mapping[KeyPath, Origin]

    def at(self, *path: str | int) -> "Tree":
        """The subtree at ``path``."""
        data = self.data
        for key in path:
            data = data[key]
        cut = len(path)
        return Tree(data, {p[cut:]: o for p, o in self.origins.items() if p[:cut] == path})


def shown(value: Any) -> str:
    """A value as YAML has it, short: ``null``, ``true``, ``'text'``, ``[1, 2]``."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "a mapping" if isinstance(value, dict) else repr(value)


def dotted(path: KeyPath) -> str:
    """``('rows', 'B-B', 'stages')`` as a person writes it: ``rows.B-B.stages``."""
    return ".".join(str(key) for key in path)


DEEP = 5_000
"""Levels that LibYAML surely reads: some way beyond, its recursion ends the process."""
MOST = 100_000
"""Values that a file may hold, aliases followed: far more than any, and few enough to be read in no time."""


class Loader(yaml.CSafeLoader):
    """YAML 1.1 as PyYAML reads it, except that ``1e-6`` is a number and not a string, as it is to DVC."""


class _TellingLoader(yaml.SafeLoader):
    """The same, ten times slower, and with more to say about what isn't YAML."""


for _kind in (Loader, _TellingLoader):
    _kind.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"),
        list("-+0123456789"),
    )


def read_yaml(file: Path) -> Tree:
    """Read a YAML file.

    Raises:
        UserError: the file is missing, isn't YAML, or gives a key twice.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UserError(
            f"{file}: cannot be read ({reason}); run dbot in the project's folder, or name a file of it with --params"
        ) from None
    try:
        try:
            data, origins = _read(text, _TellingLoader if _levels(text) > DEEP else Loader, file)
        except yaml.YAMLError:
            data, origins = _read(text, _TellingLoader, file)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or "not YAML"
        raise UserError(f"{file}:{line}: {problem}; mend the YAML there") from None
    except RecursionError:
        raise UserError(f"{file}: is nested too deeply; does an anchor (&) hold its own alias (*)?") from None
    if not isinstance(data, dict):
        raise UserError(f"{file}: must be a mapping of sections; see the file that came with the project")
    return Tree(data, origins)


def _levels(text: str) -> int:
    """No fewer than a text nests: each level takes a bracket, or a column of a line."""
    return text.count("[") + text.count("{") + max(map(len, text.splitlines()), default=0)


def _read(text: str, kind: type[Loader | _TellingLoader], file: Path) -> tuple[Any, dict[KeyPath, Origin]]:
    loader, origins = kind(text), dict[KeyPath, Origin]()
    try:
        node = loader.get_single_node()
        return (None if node is None else _construct(loader, node, (), origins, file)), origins
    finally:
        loader.dispose()


def _construct(loader: Loader | _TellingLoader, node: yaml.Node, path: KeyPath, origins: dict[KeyPath, Origin], file: Path) -> Any:
    line = node.start_mark.line + 1
    if len(origins) > MOST:
        raise UserError(f"{file}:{line}: the file holds more than {MOST:,} values; do its aliases (*) multiply one another?")
    origins[path] = Origin(dotted(path), file, line)
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, line = str(_scalar(loader, key_node, file)), key_node.start_mark.line + 1
            if key in mapping:
                raise UserError(f"{file}:{line}: {dotted((*path, key))} is given twice; keep one of them")
            mapping[key] = _construct(loader, value_node, (*path, key), origins, file)
            origins[(*path, key)] = Origin(dotted((*path, key)), file, line)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_construct(loader, item, (*path, i), origins, file) for i, item in enumerate(node.value)]
    return _scalar(loader, node, file)


def _scalar(loader: Loader | _TellingLoader, node: yaml.Node, file: Path) -> Any:
    try:
        return loader.construct_object(node)
    except ValueError as error:  # the 32nd of a month, a number without digits or with thousands of them
        raise UserError(f"{file}:{node.start_mark.line + 1}: {error}; put it in quotes if it is text") from None


def merge(base: Tree, over: Tree) -> Tree:
    """``over`` laid on ``base``: mappings merge key by key, anything else is replaced whole.

    So is a mapping whose ``kind`` becomes another: its other keys belong to the kind that it was.
    """
    if not (isinstance(base.data, dict) and isinstance(over.data, dict)):
        return over
    if over.data.get("kind", base.data.get("kind")) != base.data.get("kind"):
        return over
    data: dict[str, Any] = {}
    origins: dict[KeyPath, Origin] = {p: o for p, o in base.origins.items() if p == ()}
    for key in [*base.data, *(k for k in over.data if k not in base.data)]:
        if key not in base.data:
            part = over.at(key)
        elif key not in over.data:
            part = base.at(key)
        else:
            part = merge(base.at(key), over.at(key))
        data[key] = part.data
        origins.update({(key, *p): o for p, o in part.origins.items()})
    return Tree(data, origins)
