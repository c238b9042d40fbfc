"""`dbot <verb>`: the front door. A verb is loaded only when it is called, so that starting is quick."""

import argparse
import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dbot import __version__
from dbot.base import garbage
from dbot.base.disk import concerns_disk, is_misplaced, refusal
from dbot.base.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dbot.jobs.kind import Kind

OTHERS = {
    "table": "write the table from the receipts",
    "probes": "write the table of probes from the receipts",
    "analyses": "draw the figures of the analyses from the receipts",
    "sweep": "write the numbers of a sweep and draw its figure",
    "transfers": "write the table of transfers from the receipts",
    "report": "write the report page from the receipts",
    "import": "read a released file of weights into a checkpoint of ours",
    "export": "write a checkpoint as timm loads it, with a model card",
    "embed": "turn a folder of images into an array of features",
    "predict": "find objects or label maps on a folder of images, and draw them",
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
        if verb in OTHERS:
            importlib.import_module(f"dbot.commands.{verb}").run(parser(verb).parse_args(arguments[1:]))
        elif verb in kinds():
            from dbot.commands import job

            job.run(parser(verb).parse_args(arguments[1:]), kinds()[verb])
        else:
            return _front(arguments)
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
    from dbot.jobs import registry

    return registry.kinds()


def parser(verb: str) -> argparse.ArgumentParser:
    """What a verb's command line may say: the flags of every verb, then its own."""
    module = importlib.import_module(f"dbot.commands.{verb}" if verb in OTHERS else "dbot.commands.job")
    description = module.__doc__ if verb in OTHERS else kinds()[verb].description
    made = argparse.ArgumentParser(prog=f"dbot {verb}", description=description, allow_abbrev=False)
    made.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE", help="the configuration (default: params.yaml)")
    made.add_argument("--scale", help="a scale of params.yaml (default: the one it names)")
    module.arguments(made, *(() if verb in OTHERS else (kinds()[verb],)))
    return made


def _front(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        print(f"dbot {__version__}")
        return 0
    jobs = {name: kind.title for name, kind in kinds().items()}
    wide = max(map(len, (*jobs, *OTHERS)))
    print("usage: dbot <verb> [--params FILE] [--scale SCALE] ...   (dbot <verb> --help says more)\n")
    for title, group in (("jobs, one a rule of the workflow", jobs), ("everything else", OTHERS)):
        print(f"{title}:", *(f"  {name:{wide}}  {text}" for name, text in group.items()), "", sep="\n")
    if arguments and arguments[0] not in ("-h", "--help"):
        print(f"dbot: there is no verb {arguments[0]!r}; the verbs are listed above", file=sys.stderr)
        return 2
    sys.stdout.flush()
    return 0
