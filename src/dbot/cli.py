"""`dbot <verb>`: the front door. A verb is loaded only when it is called, so that starting is quick."""

import argparse
import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbot import __version__
from dbot.base import garbage
from dbot.base.disk import concerns_disk, is_misplaced, refusal
from dbot.base.errors import UserError
from dbot.base.files import filled_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dbot.jobs.kind import Kind

VIEWS = {
    "table": "write the table from the receipts",
    "probes": "write the table of probes from the receipts",
    "analyses": "draw the figures of the analyses from the receipts",
    "sweep": "write the numbers of a sweep and draw its figure",
    "transfers": "write the table of transfers from the receipts",
    "report": "write the report page from the receipts",
}
OTHERS = {
    "import": "read a released file of weights into a checkpoint of ours",
    "export": "write a checkpoint as timm loads it, with a model card",
    "embed": "turn a folder of images into an array of features",
    "predict": "find objects or label maps on a folder of images, and draw them",
    "measure": "how good any network is on any data set, without a plan",
    "record": "hand a job's artifacts to DVC",
    "sync": "complete MLflow from the receipts",
    "forecast": "what a scale will take, by rule and row, and what it took",
    "cluster": "check this cluster against what the jobs ask for, before anything is submitted",
    "calibrate": "measure the throughput that forecasts rest on",
    "resources": "suggest memory and run time from Snakemake's benchmark files",
    "params": "show what a row resolves to, and where each value came from",
    "schema": "write what is made from params.yaml's model: schemas, dvc.yaml",
    "status": "say what is built, absent, not run, failed, stale, broken or running, and why",
    "lineage": "walk from a cell or a file to the data",
    "verify": "re-hash a chain and name the first thing that doesn't match",
    "replay": "do a step again that was not finite, and say what is not",
    "gc": "show what no receipt needs, and free it",
}


def main(argv: list[str] | None = None) -> int:
    """Run one verb; the exit status is 0, or 2 for a mistake that the user can mend."""
    arguments = sys.argv[1:] if argv is None else argv
    garbage.seldom()
    try:
        verb = arguments[0] if arguments else ""
        if verb not in VIEWS and verb not in OTHERS and verb not in kinds():
            return _front(arguments)
        module, _, told = _serving(verb)
        module.run(_with_paths(parser(verb).parse_args(arguments[1:])), *told)
        sys.stdout.flush()
    except UserError as error:
        for problem in error.problems:
            print(f"dbot {arguments[0]}: {problem}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read the output has seen enough. Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if not (concerns_disk(error) or is_misplaced(error)):
            raise
        print(f"dbot {arguments[0]}: {refusal(error)}", file=sys.stderr)
        return 2
    return 0


def kinds() -> "Mapping[str, Kind]":
    """By verb, the kinds of job: each shares its name with a rule and ends in a receipt."""
    from dbot.jobs.kind import kinds as found

    return found()


def parser(verb: str) -> argparse.ArgumentParser:
    """What a verb's command line may say: the flags of every verb, then its own."""
    module, description, told = _serving(verb)
    made = argparse.ArgumentParser(prog=f"dbot {verb}", description=description, allow_abbrev=False)
    made.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE", help="the configuration (default: params.yaml)")
    made.add_argument("--scale", help="a scale of params.yaml (default: the one it names)")
    module.arguments(made, *told)
    return made


def _with_paths(args: argparse.Namespace) -> argparse.Namespace:
    """A command line whose paths have `~` filled in, which shells leave in `--output=~/x`, and can be shown and written down.

    Raises:
        UserError: the name of a path is not UTF-8.
    """
    for name, value in vars(args).items():
        if any("\udc80" <= letter <= "\udcff" for letter in str(value)):
            raise UserError(f"{name} is {str(value)!r}: holds bytes that are not UTF-8; rename it")
        if isinstance(value, Path):
            setattr(args, name, Path(filled_in(str(value))))
        elif isinstance(value, list):
            setattr(args, name, [Path(filled_in(str(each))) if isinstance(each, Path) else each for each in value])
    return args


def _serving(verb: str) -> tuple[Any, str | None, tuple[Any, ...]]:
    """The module that serves a verb, the verb's description, and what the module is told where it serves more than one."""
    if verb in VIEWS:
        views = importlib.import_module("dbot.commands.views")
        return views, views.VIEWS[verb].description, (verb,)
    if verb in OTHERS:
        module = importlib.import_module(f"dbot.commands.{verb}")
        return module, module.__doc__, ()
    return importlib.import_module("dbot.commands.job"), kinds()[verb].description, (kinds()[verb],)


def _front(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        print(f"dbot {__version__}")
        return 0
    jobs = {name: kind.title for name, kind in kinds().items()}
    groups = {"jobs, one a rule of the workflow": jobs, "what the receipts show": VIEWS, "everything else": OTHERS}
    wide = max(len(name) for group in groups.values() for name in group)
    print("usage: dbot <verb> [--params FILE] [--scale SCALE] ...   (dbot <verb> --help says more)\n")
    for title, group in groups.items():
        print(f"{title}:", *(f"  {name:{wide}}  {text}" for name, text in group.items()), "", sep="\n")
    if arguments and arguments[0] not in ("-h", "--help"):
        print(f"dbot: there is no verb {arguments[0]!r}; the verbs are listed above", file=sys.stderr)
        return 2
    sys.stdout.flush()
    return 0
