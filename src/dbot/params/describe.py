"""What the typed models say about params.yaml: the keys at a place, and the JSON schema for editors."""

import types
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from dbot.params.cookbook import KINDS
from dbot.params.document import Params
from dbot.params.site import Site
from dbot.params.source import KeyPath

DRAFT = "https://json-schema.org/draft/2020-12/schema"


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


def json_schema() -> dict[str, Any]:
    """JSON schema of params.yaml, for completion and checks in editors.

    Nothing is required in it, since a recipe may extend another and a scale gives only what
    differs; `dbot params` is the judge of what is missing.
    """
    schema = Params.model_json_schema()
    definitions = schema["$defs"]
    for definition in (schema, *definitions.values()):
        definition.pop("required", None)
    for name in ("AsymmetricPretrain", "SymmetricPretrain", "AsymmetricFinetune", "SymmetricFinetune", "Detect", "Segment"):
        definitions[name]["properties"]["extends"] = {
            "type": "string",
            "description": "Another recipe of the same kind; only what differs from it is given here.",
        }
    for kind in KINDS:
        recipe = definitions["Recipes"]["properties"][kind]["additionalProperties"]
        if "oneOf" in recipe:
            recipe.pop("discriminator", None)
            recipe["anyOf"] = recipe.pop("oneOf")  # without its tag, an extending recipe fits both designs
    sections = {k: v for k, v in schema["properties"].items() if k not in ("version", "scale", "scales")}
    definitions["Scale"]["properties"]["overrides"] = {
        "type": "object",
        "description": "Sections of this file, with only the keys that differ at this scale.",
        "properties": sections,
        "additionalProperties": False,
    }
    return {"$schema": DRAFT, **schema, "title": "dbot params.yaml"}


def site_schema() -> dict[str, Any]:
    """JSON schema of site.yaml."""
    return {"$schema": DRAFT, **Site.model_json_schema(), "title": "dbot site.yaml"}
