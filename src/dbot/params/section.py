"""The base of every typed section of params.yaml, and which of them stands at a place."""

import types
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict

from dbot.params.source import KeyPath


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
