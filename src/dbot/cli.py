"""`dbot <verb>`: the front door. A verb is loaded only when it is called, so that starting is quick."""

import argparse
import importlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbot import __version__
from dbot.base import garbage, standby
from dbot.base.disk import concerns_disk, is_misplaced, refusal
from dbot.base.errors import UserError
from dbot.base.files import as_output, filled_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from dbot.jobs.kind import Kind

VIEWS = {
    "table": "write the table from the receipts",
    "probes": "write the table of probes from the receipts",
    "analyses": "draw the figures of the analyses from the receipts",
    "sweep": "write the numbers of a sweep and draw its figure",
    "transfers": "write the table of transfers from the receipts",
    "shifts": "write the table of classifiers on shifted sets from the receipts",
    "adaptations": "write the table of few-shot probes and linear segmentation from the receipts",
    "report": "write the report page from the receipts",
}
OTHERS = {
    "import": "read a released file of weights into a checkpoint of ours",
    "imitate": "write files in the layouts of the released ones, with small networks in them",
    "export": "write a checkpoint as timm loads it, with a model card",
    "embed": "turn a folder of images into an array of features",
    "predict": "find objects or label maps on a folder of images, and draw them",
    "measure": "how good any network is on any data set, without a plan",
    "record": "hand a job's artifacts to DVC",
    "push": "send what DVC keeps to its remote, and what a push that was cut off left in pieces",
    "sync": "complete MLflow from the receipts",
    "forecast": "what a scale will take, by rule and row, and what it took",
    "cluster": "check this cluster against what the jobs ask for, before anything is submitted",
    "calibrate": "measure the throughput that forecasts rest on",
    "resources": "suggest memory and run time from what jobs have used",
    "params": "show what a row resolves to and where each value came from, or explain a key",
    "schema": "write what is made from params.yaml's model: schemas, dvc.yaml",
    "status": "say what is built, absent, not run, failed, stale, broken or running, and why",
    "lineage": "walk from a cell or a file to the data",
    "compare-tables": "put the tables of checkouts, bundles or revisions side by side",
    "sign": "vouch for results: sign their receipts with an SSH key",
    "verify": "re-hash a chain and name the first thing that doesn't match",
    "publish": "write results with all that proves them, to a folder, a hub or Zenodo",
    "restore": "put published results in place, once all of them are found right",
    "replay": "do a step again that was not finite, and say what is not",
    "gc": "show what no receipt needs, and free it",
    "completion": "complete verbs, rows and scales in a shell",
    "standby": "stand by with every library loaded, for the workflow's short jobs",
}


def main(argv: list[str] | None = None) -> int:
    """Run one verb; the exit status is 0, 2 for a mistake that the user can mend, or 130 after Ctrl-C."""
    arguments = sys.argv[1:] if argv is None else argv
    if argv is None and arguments and (status := standby.done_there(arguments)) is not None:
        return standby.die_of(status)
    garbage.seldom()
    verb = arguments[0] if arguments else ""
    try:
        if verb not in VIEWS and verb not in OTHERS and verb not in kinds():
            return _front(arguments)
        module, _, told = _serving(verb)
        made = parser(verb)
        files = {action.dest for action in made._actions if action.metavar == "FILE"}
        module.run(_with_paths(made.parse_args(arguments[1:]), files), *told)
        sys.stdout.flush()
    except UserError as error:
        for problem in error.problems:
            print(f"dbot {verb}: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"dbot {verb}: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Whoever read the output has seen enough. Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if not (concerns_disk(error) or is_misplaced(error)):
            raise
        print(f"dbot {verb}: {refusal(error)}", file=sys.stderr)
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
    if any(action.dest == "format" and "json" in (action.choices or ()) for action in made._actions):
        made.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")
    return made


def whole() -> argparse.ArgumentParser:
    """The command line of all verbs together, for completion and the reference; each verb is loaded for it."""
    made = argparse.ArgumentParser(prog="dbot", allow_abbrev=False)
    verbs = made.add_subparsers(metavar="VERB")
    for verb, purpose in {name: text for group in groups().values() for name, text in group.items()}.items():
        verbs.add_parser(verb, parents=[parser(verb)], add_help=False, help=purpose, description=purpose)
    return made


def groups() -> "Mapping[str, Mapping[str, str]]":
    """By group, the verbs and what each is for."""
    jobs = {name: kind.title for name, kind in kinds().items()}
    return {"jobs, one a rule of the workflow": jobs, "what the receipts show": VIEWS, "everything else": OTHERS}


def _with_paths(args: argparse.Namespace, files: "Collection[str]" = ()) -> argparse.Namespace:
    """A command line whose paths have `~` filled in, which shells leave in `--output=~/x`, and that can be shown and written to.

    Args:
        args: as it was given.
        files: which of them are files, not folders.

    Raises:
        UserError: the name of a path is not UTF-8; the parameters are of another project; the output can't be written.
    """
    for name, value in vars(args).items():
        if any("\udc80" <= letter <= "\udcff" for letter in str(value)):
            raise UserError(f"{name} is {str(value)!r}: holds bytes that are not UTF-8; rename it")
        if isinstance(value, Path):
            setattr(args, name, Path(filled_in(str(value))))
        elif isinstance(value, list):
            setattr(args, name, [Path(filled_in(str(each))) if isinstance(each, Path) else each for each in value])
    project, here = args.params.parent.resolve(), Path.cwd().resolve()
    if args.params.is_file() and not project.is_relative_to(here):
        raise UserError(f"{args.params}: belongs to {project}, and results would be those of {here}; run this there: cd {project}")
    if getattr(args, "output", None) is not None:
        args.output = as_output(args.output, "output" in files)
    return args


def _serving(verb: str) -> tuple[Any, str | None, tuple[Any, ...]]:
    """The module that serves a verb, the verb's description, and what the module is told where it serves more than one."""
    if verb in VIEWS:
        views = importlib.import_module("dbot.commands.views")
        return views, views.VIEWS[verb].description, (verb,)
    if verb in OTHERS:
        module = importlib.import_module(f"dbot.commands.{verb.replace('-', '_')}")
        told: dict[str, tuple[Any, ...]] = {"completion": (whole,), "standby": (main,)}
        return module, module.__doc__, told.get(verb, ())
    return importlib.import_module("dbot.commands.job"), kinds()[verb].description, (kinds()[verb],)


def _front(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        print(f"dbot {__version__}")
        return 0
    if not arguments:
        from dbot.commands import welcome

        print("\n".join(welcome.lines()))
    elif arguments[0] in ("-h", "--help"):
        print("\n".join(_verbs()))
    else:
        import difflib

        known = [verb for group in groups().values() for verb in group]
        near = difflib.get_close_matches(arguments[0], known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        print(f"dbot: there is no verb {arguments[0]!r}; {hint}`dbot --help` lists them", file=sys.stderr)
        return 2
    sys.stdout.flush()
    return 0


def _verbs() -> "Iterator[str]":
    wide = max(len(name) for group in groups().values() for name in group)
    yield "usage: dbot VERB [--params FILE] [--scale SCALE] ...   (dbot VERB --help says more)"
    for title, group in groups().items():
        yield from ("", f"{title}:", *(f"  {name:{wide}}  {text}" for name, text in group.items()))
