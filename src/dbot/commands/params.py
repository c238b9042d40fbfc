"""Show what a row resolves to at a scale, and the file and line that each value came from."""

import argparse
from typing import Any

from dbot.params.load import Resolved, load
from dbot.params.source import KeyPath, dotted
from dbot.plan import Plan


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--row", help="only what this row uses (default: everything)")


def run(args: argparse.Namespace) -> None:
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
    where = f"{origin.place} {origin.key}" if origin else "default of the typed model"
    written = "null" if value is None else str(value).lower() if isinstance(value, bool) else value
    print(f"{dotted(path)} = {written}    # {where}")
