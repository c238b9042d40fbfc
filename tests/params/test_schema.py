"""The JSON schema is in step with the models, and says of params.yaml what the models say."""

import json
from typing import Any

import jsonschema
import pytest
import yaml
from referencing import Registry, Resource

from dbot.params.document import read_parts
from dbot.params.schema import included_schema, json_schema
from dbot.params.source import read_yaml
from tests.conftest import PROJECT

SCHEMA = json.loads((PROJECT / "schema" / "params.schema.json").read_text())
INCLUDED = json.loads((PROJECT / "schema" / "included.schema.json").read_text())
DOCUMENT = read_parts(PROJECT / "params.yaml").data


@pytest.fixture
def included() -> jsonschema.Draft202012Validator:
    """Finds the other schema beside its own, as editors do."""
    registry = Registry().with_resource("params.schema.json", Resource.from_contents(SCHEMA))
    return jsonschema.Draft202012Validator(INCLUDED, registry=registry)


def test_the_written_schema_is_in_step() -> None:
    assert (json_schema(), included_schema()) == (SCHEMA, INCLUDED), "run `dbot schema`"


def test_the_schemas_are_schemas() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator.check_schema(INCLUDED)


def test_params_yaml_fits_the_schema() -> None:
    jsonschema.validate(read_yaml(PROJECT / "params.yaml").data, SCHEMA)
    jsonschema.validate(DOCUMENT, SCHEMA)


def test_what_it_includes_fits_the_schema_of_such_files(included: jsonschema.Draft202012Validator) -> None:
    for name in DOCUMENT["include"]:
        included.validate(read_yaml(PROJECT / name).data)
    for text in ("include: [more.yaml]", "buildx: {}", "scales: {x: {title: x, overrides: {architectures: {B: {widht: 4}}}}}"):
        assert not included.is_valid(yaml.safe_load(text))


def test_each_file_names_its_schema_for_editors() -> None:
    assert (PROJECT / "params.yaml").read_text().startswith("# yaml-language-server: $schema=schema/params.schema.json\n")
    for name in DOCUMENT["include"]:
        assert (PROJECT / name).read_text().startswith("# yaml-language-server: $schema=../schema/included.schema.json\n"), name


@pytest.mark.parametrize(
    "text",
    [
        "buildx: {}",
        "build: {rows: [B-B], columns: [depth], seeds: [0]}",
        "recipes: {pretrain: {x: {mask_ration: 0.5}}}",
        "recipes: {finetune: {x: {epochs: many}}}",
        "scales: {x: {title: x, overrides: {scales: {}}}}",
        "scales: {x: {title: x, overrides: {architectures: {B: {widht: 4}}}}}",
    ],
)
def test_the_schema_refuses_mistakes(text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), SCHEMA)


def test_every_key_is_described() -> None:
    """Editors show the description; `kind` and `design` say themselves what they tell apart."""

    def visit(schema: Any) -> list[str]:
        properties = schema.get("properties", {})
        return [key for key, field in properties.items() if "description" not in {**definition(field), **field} and key != "kind"]

    def definition(field: Any) -> Any:
        return SCHEMA["$defs"][field["$ref"].removeprefix("#/$defs/")] if "$ref" in field else {}

    assert visit(SCHEMA) == []
    assert {name: missing for name, part in SCHEMA["$defs"].items() if (missing := visit(part))} == {}
