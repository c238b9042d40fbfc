"""Show what a row resolves to at a scale, and where each value came from; or what a key means, and what it is at every scale."""

import argparse
from collections.abc import Iterator
from typing import Any

from dbot.base.errors import UserError
from dbot.params.explain import Explained, Value, explain
from dbot.params.load import Resolved, load
from dbot.params.section import Section
from dbot.params.source import KeyPath, dotted, shown
from dbot.plan import Plan

DEFAULT = "default of the typed model"
FEW = 4
"""Names of a mapping that are shown."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", nargs="?", metavar="KEY", help="a key to explain, as recipes.pretrain.asymmetric-B.mask_ratio")
    parser.add_argument("--row", help="only what this row uses (default: everything)")


def run(args: argparse.Namespace) -> None:
    if args.key is not None:
        if args.row is not None or args.scale is not None:
            raise UserError(f"KEY {args.key!r} is explained at every scale; leave out --row and --scale")
        print("\n".join(_explained(explain(args.params, args.key))))
        return
    resolved = load(args.params, args.scale)
    plan = Plan(resolved)
    sections: list[KeyPath] = [(name,) for name in type(resolved.params).model_fields if name != "scales"]
    if args.row is not None:
        # Every job of the row's cls cell says which sections it reads; the row itself comes first.
        cells = plan.cells([args.row], ["cls"])[: len(resolved.params.build.seeds)]
        used = dict.fromkeys(source for job in reversed(plan.jobs(cells)) for source in job.sources)
        sections = [("rows", args.row), *used]
    print(f"scale {resolved.scale}: {resolved.params.scales[resolved.scale].title}")
    for section in sections:
        value: Any = resolved.params
        for key in section:
            value = value[key] if isinstance(value, dict) else getattr(value, str(key))
        _show(resolved, section, value)


def _show(resolved: Resolved, path: KeyPath, value: Any) -> None:
    if hasattr(value, "model_fields_set"):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, dict):
        for key, below in value.items():
            _show(resolved, (*path, key), below)
        return
    origin = resolved.origin(*path)
    where = f"{origin.place} {origin.key}" if origin else DEFAULT
    written = "null" if value is None else str(value).lower() if isinstance(value, bool) else value
    print(f"{dotted(path)} = {written}    # {where}")


def _explained(found: Explained) -> Iterator[str]:
    meaning = found.meaning
    yield found.key
    yield f"  meaning  {meaning.text}"
    yield f"  type     {meaning.type}{f', in {found.unit}' if found.unit and 'number' in meaning.type else ''}"
    if meaning.allowed:
        yield f"  allowed  {meaning.allowed}"
    if not meaning.keys and meaning.default != "":
        yield f"  default  {meaning.default or 'none, it has to be stated'}"
    lines = [("scale", "value", "where"), *((each.scale, *_value(each)) for each in found.values)]
    widths = [max(len(line[i]) for line in lines) for i in range(2)]
    yield ""
    yield from (f"  {scale:{widths[0]}}  {value:{widths[1]}}  {where}".rstrip() for scale, value, where in lines)
    if meaning.keys:
        wide = max(map(len, meaning.keys))
        yield ""
        yield from (f"  {name:{wide}}  {text}" for name, text in meaning.keys.items())


def _value(each: Value) -> tuple[str, str]:
    if not each.there:
        return "-", ""
    where = f"{each.origin.place} {each.origin.key}" if each.origin else DEFAULT
    if isinstance(each.value, dict):
        names = list(each.value)
        return f"{len(names)}: {', '.join(names[:FEW])}{', …' if len(names) > FEW else ''}", where
    return "a mapping" if isinstance(each.value, Section) else shown(each.value), where
