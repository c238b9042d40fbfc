"""Write the demo's table between the markers of README.md and docs/demo.md, from docs/demo-table.csv.

That file is `results/demo/table.csv` as `dbot table` wrote it from receipts, or its columns that are read here. After a new demo:
`cp results/demo/table.csv docs/demo-table.csv && make docs-table`.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

PROJECT = Path(__file__).parents[2]
SOURCE = PROJECT / "docs" / "demo-table.csv"
PAGES = (PROJECT / "README.md", PROJECT / "docs" / "demo.md")
BEGIN, END = "<!-- The demo's table, written by `make docs-table` from docs/demo-table.csv -->", "<!-- end of the table -->"
COLUMNS = {"cls": "top-1", "det": "box AP", "seg": "mIoU"}
NONE = "–"


def markdown(source: Path = SOURCE) -> str:
    """Rows of the published table: what the demo measured, ± standard deviation where there are several seeds, beside the control."""
    with source.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["cls_control"]]
    return "\n".join(_lines(rows))


def _lines(rows: list[Mapping[str, str]]) -> Iterator[str]:
    heads = [name for head in COLUMNS.values() for name in (head, "control")]
    yield f"| row | teacher | {' | '.join(heads)} |"
    yield "|---|---|" + "---:|" * len(heads)
    for row in rows:
        cells = [cell for name in COLUMNS for cell in (_measured(row, name), _number(row[f"{name}_control"]))]
        yield f"| {row['row']} | {row['teacher']} | {' | '.join(cells)} |"


def _measured(row: Mapping[str, str], column: str) -> str:
    measured, spread = _number(row[f"{column}_measured"]), row[f"{column}_sd"]
    return f"**{measured}** ± {_number(spread)}" if spread else f"**{measured}**" if measured != NONE else NONE


def _number(written: str) -> str:
    return f"{float(written):.1f}" if written else NONE


def filled(text: str, table: str) -> str:
    """A page with the table between its markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"a page lacks the markers {BEGIN} and {END}")
    return f"{before}{begin}\n\n{table}\n\n{end}{after}"


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text(), markdown()))
