"""The JSON schemas of params.yaml, the files that it includes, and site.yaml, for completion and checks in editors."""

from typing import Any

from dbot.params.dense import KINDS
from dbot.params.document import INCLUDE, Params
from dbot.params.site import Site

DRAFT = "https://json-schema.org/draft/2020-12/schema"


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
    sections = {k: v for k, v in schema["properties"].items() if k not in ("version", INCLUDE, "scale", "scales")}
    # A scale takes out what it has null.
    definitions["Row"]["properties"]["columns_from"]["additionalProperties"] = _or_null({"type": "string"})
    sections["rows"] = {**sections["rows"], "additionalProperties": _or_null(sections["rows"]["additionalProperties"])}
    definitions["Scale"]["properties"]["overrides"] = {
        "type": "object",
        "description": "Sections of this file, with only the keys that differ at this scale.",
        "properties": sections,
        "additionalProperties": False,
    }
    return {"$schema": DRAFT, **schema, "title": "dbot params.yaml"}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def included_schema() -> dict[str, Any]:
    """JSON schema of a file that params.yaml includes: the same sections, beside this schema's file, and no `include`."""
    return {"$schema": DRAFT, "$ref": "params.schema.json", "properties": {INCLUDE: False}, "title": "dbot params/*.yaml"}


def site_schema() -> dict[str, Any]:
    """JSON schema of site.yaml."""
    return {"$schema": DRAFT, **Site.model_json_schema(), "title": "dbot site.yaml"}
