"""Pages of reference that are made from the code: every verb from its parser, every key of params.yaml from its typed model."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
sys.path.insert(0, str(PROJECT / "src"))

from dbot import cli  # noqa: E402
from dbot.params import explain  # noqa: E402
from dbot.params.document import Params  # noqa: E402
from dbot.params.section import Section  # noqa: E402
from dbot.params.site import Site  # noqa: E402

SHARED = ("help", "params", "scale")
"""Flags of every verb, said once."""


def verbs() -> str:
    """The command line: a section for each verb, from its parser."""
    return "\n".join(_verbs()) + "\n"


def _verbs() -> Iterator[str]:
    yield from ("# Verbs", "")
    yield "`dbot VERB --help` prints the same. Every verb takes `--params FILE` (default: `params.yaml`) and `--scale SCALE` (default: the"
    yield "one that the file names). Where there is `--format json`, `--json` is short for it."
    yield 'Completion of verbs, rows, scales and columns in a shell: `eval "$(dbot completion bash)"`, or `zsh`.'
    for title, group in cli.groups().items():
        yield from ("", f"## {title[0].upper()}{title[1:]}")
        for verb in group:
            parser = cli.parser(verb)
            yield from ("", f"### dbot {verb}", "", *(parser.description or group[verb]).strip().splitlines(), "")
            usage = " ".join(parser.format_usage().split()).removeprefix("usage: ")
            yield from ("```", usage.replace(" [-h] [--params FILE] [--scale SCALE]", ""), "```", "")
            yield from _flags([action for action in parser._actions if action.dest not in SHARED and "--json" not in action.option_strings])


def _flags(actions: list[argparse.Action]) -> Iterator[str]:
    if not actions:
        return
    yield from ("| flag | value | what it says |", "|---|---|---|")
    for action in actions:
        name = ", ".join(f"`{flag}`" for flag in action.option_strings) or f"`{action.metavar or action.dest}`"
        value = "none" if action.nargs == 0 else _choices(action) or f"`{action.metavar or action.dest.upper()}`"
        said = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
        yield f"| {name} | {value}{', required' * bool(action.option_strings and action.required)} | {_cell(said)} |"


def _choices(action: argparse.Action) -> str:
    return ", ".join(f"`{choice}`" for choice in action.choices or ())


def parameters() -> str:
    """params.yaml and site.yaml: a table for each typed section, in the order of the file."""
    return "\n".join(_parameters()) + "\n"


def _parameters() -> Iterator[str]:
    yield from ("# Keys of params.yaml", "")
    yield "Made from the typed models. `dbot params KEY` says the same of one key, and what it is at every scale; an unknown key, a wrong"
    yield "type or a value out of bounds is an error of one line, with file and line. *stated* under default: the key has to be there."
    for model, title in ((Params, "params.yaml"), (Site, "site.yaml")):
        found: dict[str, tuple[type[Section], str]] = {}
        _collect(model, title, found)
        for section, where in found.values():
            yield from ("", f"## {_name(section)}", "", f"`{where}`", "", *_paragraph(section), "")
            yield from _keys(section)


def _collect(section: type[Section], where: str, found: dict[str, tuple[type[Section], str]]) -> None:
    """Sections below one, each once, with where it first stands."""
    if section.__name__ in found:
        return
    found[section.__name__] = (section, where)
    base = "" if where.endswith(".yaml") else f"{where}."
    for name, field in section.model_fields.items():
        several = "<name>." if "dict[" in str(field.annotation) else ""
        for below in _sections(field.annotation):
            _collect(below, f"{base}{name}.{several}".rstrip("."), found)


def _sections(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for each in getattr(annotation, "__args__", ()):
        yield from _sections(each)


def _name(section: type[Section]) -> str:
    """``Row``; ``ByKind of str`` of a model that is made for several types."""
    return section.__name__.replace("[", " of ").replace("]", "")


def _paragraph(section: type[Section]) -> list[str]:
    return (section.__doc__ or "").strip().splitlines()


def _keys(section: type[Section]) -> Iterator[str]:
    schema = section.model_json_schema()
    definitions = schema.get("$defs", {})
    yield from ("| key | meaning | type | allowed | default |", "|---|---|---|---|---|")
    for name, field in section.model_fields.items():
        declared = schema["properties"][name]
        below = list(dict.fromkeys(_name(each) for each in _sections(field.annotation)))
        type_ = explain.type_of(declared, definitions)
        if below:
            links = " or ".join(f"[{each}](#{each.lower().replace(' ', '-')})" for each in below)
            type_ = type_.replace("mapping", links, 1)
        unit = explain.unit(name)
        if unit and "number" in type_:
            type_ += f", in {unit}"
        default = explain.default_of(field)
        shown = "*stated*" if default is None else default if default.startswith("those") else f"`{default}`"
        cells = (field.description or "", type_, explain.allowed(declared, definitions), shown)
        yield f"| `{name}` | {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
