"""params.yaml and the files that it includes, read as one document."""

from pathlib import Path
from typing import Any

from dbot.base.errors import UserError
from dbot.params.source import KeyPath, Origin, Tree, dotted, read_yaml, shown

INCLUDE = "include"
"""The key that lists further files, relative to the one that has it."""


def read_parts(file: Path) -> Tree:
    """Read a file of parameters and those that it includes; the origin of each value names the file that it is in.

    Files may share a section, such as `recipes`, and nothing in it.

    Raises:
        UserError: a file is missing, isn't YAML, includes others though it is included itself, or gives what another gives.
    """
    whole = read_yaml(file)
    for place, part in _included(file, whole):
        if not part.is_file():
            raise UserError(
                f"{place}: there is no file {part}, which {file.name} includes: copy it from the project, or take this line out "
                "if all that it holds is given elsewhere"
            )
        whole = _joined(whole, read_yaml(part))
    return whole


def _included(file: Path, whole: Tree) -> list[tuple[str, Path]]:
    """By the place where it is named, every file that is included."""
    names = whole.data.get(INCLUDE, [])
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise UserError(f"{whole.origins[INCLUDE,].place}: {INCLUDE} is {shown(names)}: must be a list of files, relative to {file}")
    for i, name in enumerate(names):
        if name in names[:i]:
            raise UserError(f"{whole.origins[INCLUDE, i].place}: {dotted((INCLUDE, i))} is {name!r}: stands there twice; name it once")
    return [(whole.origins[INCLUDE, i].place, file.parent / name) for i, name in enumerate(names)]


def _joined(whole: Tree, part: Tree) -> Tree:
    """One document of two, each with sections of its own or its own part of a section."""
    if INCLUDE in part.data:
        raise UserError(f"{part.origins[INCLUDE,].place}: a file that is included can't include others; name them where this one is named")
    data: dict[str, Any] = dict(whole.data)
    twice: list[KeyPath] = []
    for key, section in part.data.items():
        other = data.get(key)
        if key not in data:
            data[key] = section
        elif isinstance(section, dict) and isinstance(other, dict):
            twice += [(key, name) for name in section if name in other]
            data[key] = {**other, **section}
        else:
            twice.append((key,))
    if twice:
        raise UserError(*(f"{part.origins[path].place}: {dotted(path)} {_stands_at(whole.origins[path])}" for path in twice))
    return Tree(data, {**part.origins, **whole.origins})


def _stands_at(origin: Origin) -> str:
    return f"is given at {origin.place} too; keep one of them"
