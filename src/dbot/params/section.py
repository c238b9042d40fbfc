"""The base of every typed section of params.yaml, kinds of numbers they share, and what is wrong there that no type can tell."""

import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveFloat

from dbot.base.files import filled_in
from dbot.params.source import KeyPath, Origin, dotted

Fraction = Annotated[float, Field(ge=0, le=1)]
ProperFraction = Annotated[float, Field(gt=0, lt=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
FilledPath = Annotated[str, AfterValidator(filled_in)]
"""A path in which `~` and `$NAMES` of environment variables are filled in."""
Pair = Annotated[list[PositiveFloat], Field(min_length=2, max_length=2)]
Betas = Annotated[list[Rate], Field(min_length=2, max_length=2)]


class Section(BaseModel):
    """A mapping in params.yaml: unknown keys are errors, types are not coerced, values don't change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, allow_inf_nan=False)


def model_at(model: Any, path: KeyPath, data: Any) -> type[BaseModel] | None:
    """The typed section at ``path`` (None where there is none); ``data`` decides between kinds."""
    origin = get_origin(model)
    if origin is Annotated:
        return model_at(get_args(model)[0], path, data)
    if origin in (Union, types.UnionType):
        sections = [a for a in get_args(model) if isinstance(a, type) and issubclass(a, BaseModel)]
        for section in sections:
            tags = {n: get_args(f.annotation) for n, f in section.model_fields.items() if n in ("kind", "design")}
            if len(sections) == 1 or all(isinstance(data, dict) and data.get(n) in v for n, v in tags.items()):
                return model_at(section, path, data)
        return None
    if origin is dict and path:
        return model_at(get_args(model)[1], path[1:], data.get(path[0]) if isinstance(data, dict) else None)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return None
    if not path:
        return model
    field = model.model_fields.get(str(path[0]))
    below = data.get(path[0]) if isinstance(data, dict) else None
    return model_at(field.annotation, path[1:], below) if field else None


@dataclass(frozen=True)
class Problem:
    """Something wrong at a key: what it is, and what would be right."""

    path: KeyPath
    what: str
    remedy: str


def one_of(path: KeyPath, value: str, known: Iterable[str], noun: str) -> Iterator[Problem]:
    """A problem if a name is none of those that are declared."""
    if value not in known:
        yield Problem(path, f"is {value!r}", f"there is no {noun} of that name; declared are: {', '.join(known) or 'none'}")


def lines(file: Path, origins: Mapping[KeyPath, Origin], problems: Iterable[Problem]) -> list[str]:
    """A line for each problem; one that several recipes inherit is said once."""
    found: dict[tuple[str, KeyPath, str, str], str] = {}
    for problem in problems:
        path = problem.path
        while path and path not in origins:
            path = path[:-1]
        origin = origins.get(path)
        where = f"{file}:{origin.line}" if origin else f"{file}"
        line = f"{where}: {dotted(problem.path)} {problem.what}: {problem.remedy}"
        found.setdefault((where, problem.path[-1:], problem.what, problem.remedy), line)
    return list(found.values())
