"""What a key of params.yaml means: its type, what is allowed, its default, and the value that it has at each scale."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from dbot.base.errors import UserError
from dbot.params.load import Resolved, load
from dbot.params.section import Section
from dbot.params.source import KeyPath, Origin, dotted, shown

NEAR = 4
"""Keys that a mistyped one is answered with, at most."""
UNITS = {
    "gb": "GB",
    "minutes": "minutes",
    "seconds": "seconds",
    "tflops": "TFLOP/s",
    "watts": "watts",
    "epochs": "epochs",
    "steps": "steps",
    "degrees": "degrees",
}
"""By the last word of a key, what its number counts."""
SIMPLE = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "null": "null"}
LIMITS = {
    "exclusiveMinimum": "more than",
    "minimum": "at least",
    "exclusiveMaximum": "less than",
    "maximum": "at most",
    "pattern": "matching",
}


@dataclass(frozen=True)
class Meaning:
    """What the typed models say of a key."""

    text: str
    """What it is for: the docstring of the model's field, or of the section."""
    type: str
    allowed: str
    """Limits and choices in words; empty where the type says it all."""
    default: str | None
    """As YAML writes it; None: it has to be stated; empty: it is an entry of something that has a default or none."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Of a section, its keys and what they are for."""


@dataclass(frozen=True)
class Value:
    """What a key is at one scale, and where that was written."""

    scale: str
    there: bool
    value: Any
    origin: Origin | None


@dataclass(frozen=True)
class Explained:
    """All that there is to say of a key."""

    key: str
    meaning: Meaning
    unit: str
    values: tuple[Value, ...]


def explain(file: Path, key: str) -> Explained:
    """What ``key`` (``recipes.pretrain.asymmetric-B.mask_ratio``) means, and what it is at every scale of a file.

    Raises:
        UserError: the file is wrong, or there is no such key; names those that are near.
    """
    first = load(file)
    scales = [first if name == first.scale else load(file, name) for name in first.params.scales]
    found = [(resolved, _path(resolved.params, key)) for resolved in scales]
    meanings = [_meaning(resolved.params, path) for resolved, path in found if path is not None]
    if not meanings:
        near = _near(scales, key)
        raise UserError(f"{file}: {key} is not a key; " + (f"near are: {', '.join(near)}" if near else "`dbot params` prints all that are"))
    return Explained(key, meanings[0], unit(key), tuple(_value(resolved, path) for resolved, path in found))


def unit(key: str) -> str:
    """What the number of a key counts, as its name says; empty where it counts nothing."""
    return UNITS.get(key.replace(".", "_").rsplit("_", 1)[-1], "")


def _value(resolved: Resolved, path: KeyPath | None) -> Value:
    if path is None:
        return Value(resolved.scale, False, None, None)
    return Value(resolved.scale, True, _at(resolved.params, path), resolved.origin(*path))


def _below(value: Any) -> Mapping[str, Any]:
    """The keys of a section, a mapping or a list; none of anything else."""
    if isinstance(value, Section):
        return {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, list):
        return {str(i): each for i, each in enumerate(value)}
    return value if isinstance(value, dict) else {}


def _at(value: Any, path: KeyPath) -> Any:
    for key in path:
        value = _below(value)[str(key)]
    return value


def _path(value: Any, key: str) -> KeyPath | None:
    """Keys down to a value, by their names with dots between; names may hold dots themselves."""
    below = _below(value)
    if key in below:
        return (_step(value, key),)
    for name in below:
        if key.startswith(f"{name}.") and (rest := _path(below[name], key[len(name) + 1 :])) is not None:
            return (_step(value, name), *rest)
    return None


def _step(value: Any, name: str) -> str | int:
    return int(name) if isinstance(value, list) else name


def _meaning(value: Any, path: KeyPath) -> Meaning:
    """The meaning of what stands at ``path``: of the nearest field above it, with the type that it has there."""
    schema: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    text, default = "", None
    for key in path:
        if isinstance(value, Section):
            text, default, schema, definitions = _field(type(value), str(key))
        else:
            schema, default = _element(schema, definitions), ""
            text = "" if isinstance(_below(value)[str(key)], Section) else text
        value = _below(value)[str(key)]
    if isinstance(value, Section):
        keys = {name: " ".join((each.description or "").split()) for name, each in type(value).model_fields.items()}
        return Meaning(text or " ".join((type(value).__doc__ or "").split()), "mapping", "", default, keys)
    return Meaning(text, type_of(schema, definitions), allowed(schema, definitions), default)


def _field(section: type[Section], name: str) -> tuple[str, str | None, dict[str, Any], dict[str, Any]]:
    """A field's description, default, schema, and the definitions that the schema refers to."""
    whole, declared = section.model_json_schema(), section.model_fields[name]
    return " ".join((declared.description or "").split()), default_of(declared), whole["properties"][name], whole.get("$defs", {})


def default_of(declared: Any) -> str | None:
    """A field's default as YAML writes it; None: it has to be stated."""
    if declared.is_required():
        return None
    value = declared.get_default(call_default_factory=True)
    if isinstance(value, Section):
        return "those of its keys"
    return "none" if value is PydanticUndefined else "{}" if value == {} else shown(value)


def _element(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of what a mapping or a list holds."""
    for part in _parts(schema, definitions):
        for word in ("additionalProperties", "items"):
            if isinstance(part.get(word), dict):
                return dict(part[word])
    return {}


def _parts(schema: dict[str, Any], definitions: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The kinds of value that a schema allows, each without references."""
    if "$ref" in schema:
        yield from _parts(definitions.get(schema["$ref"].rsplit("/", 1)[-1], {}), definitions)
    elif any(word in schema for word in ("anyOf", "oneOf")):
        for each in schema.get("anyOf", schema.get("oneOf", [])):
            yield from _parts(each, definitions)
    else:
        yield schema


def type_of(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """``whole number or null``, ``list of text``, ``mapping``."""
    words = []
    for part in _parts(schema, definitions):
        kind = part.get("type")
        if kind == "array":
            words.append(f"list of {type_of(part.get('items', {}), definitions)}")
        elif kind == "object":
            held = part.get("additionalProperties")
            words.append(
                f"names, each with {type_of(held, definitions)}" if isinstance(held, dict) and "properties" not in part else "mapping"
            )
        else:
            words.append(SIMPLE.get(str(kind), "anything"))
    return " or ".join(dict.fromkeys(words))


def allowed(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """``more than 0, at most 1``; ``one of bf16, fp16, fp32``."""
    words, choices = [], []
    for part in _parts(schema, definitions):
        if "const" in part or "enum" in part:
            choices += [str(each) for each in part.get("enum", [part.get("const")])]
        if limits := [f"{said} {part[word]}" for word, said in LIMITS.items() if word in part]:
            words.append(" and ".join(limits))
        if part.get("type") == "array":
            least, most = part.get("minItems"), part.get("maxItems")
            if least is not None or most is not None:
                many = f"{least}" if least == most else f"at least {least}" if least else f"at most {most}"
                words.append(f"{many} {'entry' if many.endswith(' 1') else 'entries'}")
            if each := allowed(part.get("items", {}), definitions):
                words.append(f"each {each}")
    if choices:
        words.insert(0, f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0])
    return "; ".join(dict.fromkeys(words))


def _near(scales: list[Resolved], key: str) -> list[str]:
    """Keys that may be meant: those that end with what was typed, then those that look like it."""
    known = dict.fromkeys(name for resolved in scales for name in _names(resolved.params, ()))
    ending = [name for name in known if name.endswith(f".{key}")]
    last = key.rsplit(".", 1)[-1]
    alike = difflib.get_close_matches(key, known, n=NEAR, cutoff=0.7)
    same = difflib.get_close_matches(key, [name for name in known if name.endswith(f".{last}")], n=NEAR, cutoff=0.3)
    return list(dict.fromkeys([*ending, *alike, *same]))[:NEAR]


def _names(value: Any, path: KeyPath) -> Iterator[str]:
    for name, below in _below(value).items():
        if isinstance(value, list) or (path == ("rows",) and below.sweep):
            continue
        yield dotted((*path, name))
        yield from _names(below, (*path, name))
