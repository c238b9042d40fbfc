"""What a scale will take: images, FLOPs, hours, disk, money and energy, by rule and row; after a run beside what it took."""

import argparse

from dbot.forecast import show
from dbot.forecast.forecast import forecast
from dbot.forecast.work import jobs_of
from dbot.params.load import load
from dbot.plan import Plan


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", nargs="*", metavar="TARGET", help="a target of the workflow, as row_B-B (default: all)")
    parser.add_argument("--again", action="store_true", help="count jobs that have run as to be run once more")
    parser.add_argument(
        "--format",
        choices=["text", "summary", "csv", "json"],
        default="text",
        help="summary: three lines on what is left to do (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> None:
    plan = Plan(load(args.params, args.scale))
    found = forecast(plan, jobs_of(plan, args.target), args.again)
    print({"text": show.text, "summary": show.summary, "csv": show.csv_text, "json": show.json_text}[args.format](found), end="")
