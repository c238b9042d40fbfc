"""Complete verbs, flags, rows, scales, data sets and columns in a shell: `eval "$(dbot completion bash)"`, or zsh.

The script asks `dbot completion rows` and the like for names, so that what params.yaml declares by now is completed.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from dbot.base.errors import UserError
from dbot.params.load import load
from dbot.params.rows import COLUMNS
from dbot.plan import Plan

SHELLS = ("bash", "zsh")
NAMES: Mapping[str, Callable[[Plan], Iterable[str]]] = {
    "rows": lambda plan: plan.params.rows,
    "cells": lambda plan: [name for row in plan.params.table_rows for name in (row, *(f"{row}/{c}" for c in plan.params.columns(row)))],
    "columns": lambda plan: COLUMNS,
    "scales": lambda plan: plan.params.scales,
    "datasets": lambda plan: plan.params.datasets,
    "sweeps": lambda plan: plan.params.sweeps,
}
"""What a flag's value may be the name of."""
FLAGS = {"row": "rows", "scale": "scales", "dataset": "datasets", "name": "sweeps", "target": "cells", "other": "rows"}
"""By the name of a flag, or of what stands without one, the names that it takes."""
BASH = '_dbot_{0}() {{ compgen -W "$(dbot completion {0} 2> /dev/null)" -- "$1"; }}'
ZSH = "_dbot_{0}() {{ compadd -- $(dbot completion {0} 2> /dev/null) }}"


def arguments(parser: argparse.ArgumentParser, whole: Callable[[], argparse.ArgumentParser]) -> None:
    parser.add_argument("what", choices=(*SHELLS, *NAMES), help="the script for a shell, or the names of one sort, a line each")


def run(args: argparse.Namespace, whole: Callable[[], argparse.ArgumentParser]) -> None:
    if args.what in NAMES:
        print("\n".join(NAMES[args.what](Plan(load(args.params, args.scale)))))
        return
    try:
        import shtab
    except ImportError:
        raise UserError("shtab is not installed here, which writes the scripts; run `make environment`") from None

    parser, function = whole(), {"bash": BASH, "zsh": ZSH}[args.what]
    _tell(parser)
    print(shtab.complete(parser, shell=args.what, preamble="\n".join(function.format(sort) for sort in NAMES)))


def _tell(parser: argparse.ArgumentParser) -> None:
    """Tell shtab how the values of every flag are completed."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in dict.fromkeys(action.choices.values()):
                _tell(each)
        elif action.choices is None and (sort := FLAGS.get(action.dest)) is not None:
            action.complete = dict.fromkeys(SHELLS, f"_dbot_{sort}")  # type: ignore[attr-defined]
        elif action.type is Path:
            action.complete = {"bash": "_shtab_compgen_files", "zsh": "_files"}  # type: ignore[attr-defined]
