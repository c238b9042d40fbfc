"""`dbot <verb>`: the front door. A verb is loaded only when it is called, so that starting is quick."""

import argparse
import importlib
import os
import sys
from pathlib import Path

from dbot import __version__
from dbot.base import garbage
from dbot.base.disk import concerns_disk, is_misplaced, refusal
from dbot.base.errors import UserError

JOBS = {
    "generate": "draw an embedded data set",
    "prepare": "check a data set and write its manifest",
    "fetch": "take over weights that others released",
    "distill": "train one stage of distillation",
    "finetune": "fine-tune a classifier",
    "transfer": "fine-tune on a set that pre-training has not seen",
    "detect": "train a detector of boxes and instance masks",
    "segment": "train a semantic segmenter",
    "evaluate": "measure one cell of the table",
    "probe": "k-NN and linear classification of a frozen stage or teacher",
    "analyse": "attention distance and singular values inside a frozen stage or teacher",
    "compare": "how like two rows' students are, layer by layer",
}
"""Verbs that are jobs: each shares its name with a rule and ends in a receipt."""

OTHERS = {
    "table": "write the table from the receipts",
    "probes": "write the table of probes from the receipts",
    "properties": "draw the figures of properties from the receipts",
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
    "status": "say what is built, stale, missing or running, and why",
    "lineage": "walk from a cell or a file to the data",
    "verify": "re-hash a chain and name the first thing that doesn't match",
    "replay": "do a step again that was not finite, and say what is not",
    "gc": "show what no receipt needs, and free it",
}


def main(argv: list[str] | None = None) -> int:
    """Run one verb; the exit status is 0, or 2 for a mistake that the user can mend."""
    arguments = sys.argv[1:] if argv is None else argv
    verbs = {**JOBS, **OTHERS}
    garbage.seldom()
    try:
        if not arguments or arguments[0] in ("-h", "--help", "--version") or arguments[0] not in verbs:
            return _front(arguments, verbs)
        importlib.import_module(f"dbot.verbs.{arguments[0]}").run(parser(arguments[0]).parse_args(arguments[1:]))
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


def parser(verb: str) -> argparse.ArgumentParser:
    """What a verb's command line may say: the flags of every verb, then its own."""
    module = importlib.import_module(f"dbot.verbs.{verb}")
    made = argparse.ArgumentParser(prog=f"dbot {verb}", description=module.__doc__, allow_abbrev=False)
    made.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE", help="the configuration (default: params.yaml)")
    made.add_argument("--scale", help="a scale of params.yaml (default: the one it names)")
    module.arguments(made)
    return made


def _front(arguments: list[str], verbs: dict[str, str]) -> int:
    if arguments == ["--version"]:
        print(f"dbot {__version__}")
        return 0
    wide = max(map(len, verbs))
    print("usage: dbot <verb> [--params FILE] [--scale SCALE] ...   (dbot <verb> --help says more)\n")
    for title, group in (("jobs, one a rule of the workflow", JOBS), ("everything else", OTHERS)):
        print(f"{title}:", *(f"  {name:{wide}}  {text}" for name, text in group.items()), "", sep="\n")
    if arguments and arguments[0] not in ("-h", "--help"):
        print(f"dbot: there is no verb {arguments[0]!r}; the verbs are listed above", file=sys.stderr)
        return 2
    sys.stdout.flush()
    return 0
