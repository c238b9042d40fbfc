"""Finish a `git merge` of two people's results: resolve what is generated, keep the receipts of both."""

import argparse

from dbot.record.merge import merge
from dbot.record.target import plans


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keep", choices=("ours", "theirs"), help="whose result stays where both have another one of a job and params.yaml doesn't decide"
    )


def run(args: argparse.Namespace) -> None:
    done = merge(plans(args.params), args.keep)
    for path in done.resolved:
        print(f"resolved  {path}")
    for folder, side in done.chosen.items():
        print(f"{side:8}  {folder}: the other side's result is dropped, and what was made from it runs again")
    for beside in done.beside:
        print(f"beside    {beside}: both had done this job, with the same result")
    print("now: git commit, dvc pull --allow-missing, dbot adopt, and snakemake for the table and the report")
