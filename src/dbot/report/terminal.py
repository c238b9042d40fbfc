"""The table for a terminal, at the end of a run of the workflow; then what to open, and what to try next."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dbot.params.rows import COLUMNS, Column
from dbot.plan import RESULTS
from dbot.report import words
from dbot.report.table import Line, Table

WIDEST = 100
"""Columns of a terminal that it fits."""
HEADS = ("measured", "control", "published")


def summary(table: Table) -> str:
    """Measured, control and published of every cell, in lines of at most `WIDEST` characters; then what to open and to try."""
    own = [line for line in table.own_shown if any(cell.values for cell in line.cells.values())]
    lines = [*table.published, *own]
    columns = [column for column in COLUMNS if any(line.cells[column].exists for line in lines)]
    whole = list(_grid(lines, columns))
    if max(map(len, whole), default=0) > WIDEST:  # names of rows are anybody's
        whole = [text for column in columns for text in (*_grid([line for line in lines if line.cells[column].exists], [column]), "")][:-1]
    cells = [cell for line in lines for cell in line.cells.values() if cell.exists]
    measured = sum(cell.measured is not None for cell in cells)
    said = [
        f"{measured} of {len(cells)} cells measured at scale {table.scale}, in %.",
        words.seeds(table),
        "Published numbers are the authors', on other data." if not table.comparable else "Published numbers are the authors'.",
        *words.reproduced(table),
    ]
    missing = [column for column in columns if any(cell.column == column and cell.measured is None for cell in cells)]
    return "\n".join([*whole, "", *said, "", *_next(table, missing)]) + "\n"


def _grid(lines: Sequence[Line], columns: Sequence[Column]) -> Iterator[str]:
    """Two heads, a rule and a line a row: the row's name, then three numbers a column."""
    texts: Mapping[Column, list[tuple[str, str, str]]] = {column: [_numbers(line, column) for line in lines] for column in columns}
    names = max([3, *(len(line.name) for line in lines)])
    widths = {
        column: [max(len(head), *(len(row[place]) for row in rows)) for place, head in enumerate(HEADS)] for column, rows in texts.items()
    }
    whole = {column: sum(wide) + len(wide) - 1 for column, wide in widths.items()}
    yield "  ".join([" " * names, *(f"{column}: {words.HEADS[column]}".center(whole[column]) for column in columns)]).rstrip()
    for place, name in enumerate(["row", *(line.name for line in lines)]):
        rows = ((column, HEADS if place == 0 else texts[column][place - 1]) for column in columns)
        yield "  ".join([name.ljust(names), *(_aligned(row, widths[column]) for column, row in rows)]).rstrip()
        if place == 0:
            yield "  ".join(["-" * names, *("-" * whole[column] for column in columns)])


def _aligned(texts: Sequence[str], widths: Sequence[int]) -> str:
    return " ".join(text.rjust(wide) for text, wide in zip(texts, widths, strict=True))


def _numbers(line: Line, column: Column) -> tuple[str, str, str]:
    cell = line.cells[column]
    if not cell.exists:
        return "", "", ""
    return words.measured(cell.measured, cell.sd) or str(cell.state), words.control(line, column), words.number(cell.published)


def _next(table: Table, missing: Sequence[Column]) -> Iterator[str]:
    folder = RESULTS / table.scale
    opened = [
        (f"{folder / 'report.html'}", "the page: figures, pictures, curves, where each number is from"),
        (f"{folder / 'table.md'}, table.csv", "the table in full"),
    ]
    for head, entries in (("Open", opened), ("Try next", list(_tries(table, missing)))):
        for place, (what, why) in enumerate(entries):
            yield f"{head if place == 0 else '':8}  {what}"
            yield f"{'':12}{why}"


def _tries(table: Table, missing: Sequence[Column]) -> Iterator[tuple[str, str]]:
    """Commands, and what they do."""
    measured = next((cell for line in table.published for cell in line.cells.values() if cell.measured is not None), None)
    if missing:
        yield words.to_run(table.scale, [f"column_{column}" for column in missing]), "the cells that are missing"
    if measured is not None:
        yield f"dbot lineage {measured.row}/{measured.column} --scale {table.scale}", "where a number comes from, back to the data"
    if sweeps := [name for name in table.plan.sweeps() if name not in table.params.build.sweeps]:
        yield words.to_run(table.scale, [f"sweep_{sweeps[0]}"]), table.params.sweeps[sweeps[0]].title
    yield str(Path("docs") / "extending.md"), "a row, a teacher or a data set of your own"
