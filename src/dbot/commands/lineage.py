"""Walk the receipts from results, or from files that jobs wrote, back to the data."""

import argparse
import json

from dbot.base.errors import UserError
from dbot.lineage.provenance.crate import crate
from dbot.lineage.provenance.prov import prov
from dbot.lineage.provenance.story import story
from dbot.lineage.provenance.text import as_json, as_text, mermaid
from dbot.lineage.target import jobs_at
from dbot.params.load import load
from dbot.plan import Plan

FORMATS = ("text", "json", "mermaid", "prov", "ro-crate")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target",
        nargs="*",
        metavar="TARGET",
        help="a cell (B-B/cls, B-B/cls/seed0), a row, a receipt, a file beside one, or the table (default: all results)",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="text",
        help="a tree to read; all of the receipts; a chart for Markdown; PROV-JSON; the metadata file of an RO-Crate (default: text)",
    )


def run(args: argparse.Namespace) -> None:
    plan = Plan(load(args.params, args.scale))
    jobs = [job for target in args.target for job in jobs_at(plan, target)]
    if not args.target:
        jobs = [job for job in plan.targets() if job.receipt.exists()]
    paths = list(dict.fromkeys(job.receipt for job in jobs))
    if not paths:
        what = ", ".join(args.target) or f"results/{plan.scale}"
        raise UserError(f"{what}: no cell of scale {plan.scale} has a receipt yet; run `snakemake --config scale={plan.scale}`")
    found = story(plan, paths)
    writers = {"text": as_text, "mermaid": mermaid}
    if args.format in writers:
        print(writers[args.format](found).rstrip("\n"))
    else:
        documents = {"json": as_json, "prov": prov, "ro-crate": crate}
        print(json.dumps(documents[args.format](found), indent=1, ensure_ascii=False))
