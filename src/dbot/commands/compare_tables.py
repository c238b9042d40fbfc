"""Put the tables of several places side by side: checkouts, bundles of results, revisions of git, which are read without a checkout.

Each is compared with the first. Of every cell that differs it says in which parameters, code, data and environment, by the receipts
of all that is behind it. Nothing is asked of params.yaml: a number is shown whether or not the parameters have moved on since.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from dbot.base.errors import UserError
from dbot.base.files import write_whole
from dbot.lineage.records import Records, records_at, records_in_zips
from dbot.publish.bundle import together
from dbot.report.tables_compared import Tables, build
from dbot.report.tables_shown import as_csv, as_page, as_text, document

FORMATS: Mapping[str, Callable[[Tables], str]] = {
    "text": as_text,
    "csv": as_csv,
    "json": lambda tables: json.dumps(document(tables), indent=1, ensure_ascii=False) + "\n",
    "html": as_page,
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "place",
        nargs="+",
        metavar="PLACE",
        help="two or more: a checkout, a bundle (folder or .zip), or a revision (main, HEAD~3)",
    )
    parser.add_argument(
        "--format", choices=tuple(FORMATS), default="text", help="to read, for programs, or a page with filters (default: text)"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="where it goes (default: the terminal)")


def run(args: argparse.Namespace) -> None:
    if len(args.place) < 2:
        raise UserError(f"{args.place[0]}: is one place, and there is nothing to compare it with; name two or more")
    tables = build([_at(place) for place in args.place], args.scale)
    if not tables.cells:
        where = f"scale {args.scale}" if args.scale else "any scale"
        raise UserError(f"{', '.join(args.place)}: hold no result of a cell at {where}")
    said = FORMATS[args.format](tables)
    if args.output is None:
        print(said, end="")
    else:
        write_whole(args.output, said.encode())
        print(f"{args.output}: {sum(cell.differs for cell in tables.cells)} of {len(tables.cells)} cells differ")


def _at(place: str) -> Records:
    if place.endswith(".zip") and Path(place).is_file():
        return records_in_zips(place, together(Path(place)))
    return records_at(place)
