"""The table as files: CSV for programs, Markdown for people."""

import csv
import io
from collections.abc import Iterator, Sequence

from dbot.params.rows import COLUMNS, Column
from dbot.report import words
from dbot.report.table import FURTHER, Cell, Line, Table, groups, in_full


def csv_text(table: Table) -> str:
    """One line a row of the table, in its order; measured and published numbers never share a column.

    Numbers in %, differences in points, two digits after the point; empty where there is none.
    """
    out = io.StringIO()
    rows = [_record(table, line) for line in table.lines]
    writer = csv.DictWriter(out, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _record(table: Table, line: Line) -> dict[str, str]:
    record = {"row": line.name, "architecture": line.architecture, "teacher": line.declared.title, "asymmetric": line.asymmetric}
    for column in COLUMNS:
        cell = line.cells[column]
        record[f"{column}_measured"] = _plain(cell.measured)
        record[f"{column}_sd"] = _plain(cell.sd)
        record[f"{column}_published"] = "" if cell.published is None else repr(cell.published)
        record[f"{column}_difference"] = _plain(cell.difference)
        record[f"{column}_reproduced"] = _yes_or_no(cell.reproduced)
        record[f"{column}_images"] = "" if cell.images is None else str(cell.images)
        record[f"{column}_seeds"] = str(len(cell.values)) if cell.values else ""
        record |= {f"{column}_{name}": _plain(cell.further(name)) for name in FURTHER[column]}
    for column in COLUMNS:
        record[f"{column}_status"] = line.cells[column].status
        record[f"{column}_receipt"] = _ids(line.cells[column])
    teacher = table.params.teachers.get(line.first_teacher or "")
    record["first_teacher"] = line.first_teacher or ""
    record["teacher_data"] = teacher.data if teacher else ""
    record["teacher_licence"] = teacher.licence if teacher else ""
    record["teacher_note"] = (teacher.note or "") if teacher else ""
    record["control"] = line.declared.control or ""
    for column in COLUMNS:
        record[f"{column}_control"] = _plain(line.control[column].measured if column in line.control else None)
        record[f"{column}_margin"] = _plain(line.margin(column))
    record["scale"] = table.scale
    record["data"] = "; ".join(f"{purpose} {name}" for purpose, name in line.data.items())
    record["cpu_hours"] = "" if line.cpu_hours is None else f"{line.cpu_hours:.4f}"
    record["gpu_hours"] = "" if line.gpu_hours is None else f"{line.gpu_hours:.4f}"
    record["device"] = "; ".join(sorted(line.hours))
    return record


def _yes_or_no(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _ids(cell: Cell) -> str:
    return " ".join(receipt.id[:12] for receipt in cell.receipts)


def markdown(table: Table) -> str:
    """The table for GitHub: caption, rows, sentences on the controls, receipts."""
    title = table.params.scales[table.scale].title
    parts = [
        f"# The table at scale `{table.scale}`",
        f"{title[0].upper()}{title[1:]}. Data: {words.data_titles(table)}; {words.commits(table)}. {words.seeds(table)}",
        f"Published numbers are from the authors' README ({words.published_by(table)}). {words.standing(table)}",
        _grid(table.published),
    ]
    if table.own_shown:
        parts += ["## Rows of our own", _grid(table.own_shown)]
    if table.controls:
        parts += ["## Controls: the same fine-tuning from random weights", _grid(table.controls)]
    for column in COLUMNS:
        lines, further = in_full(table.lines, column)
        if further:
            title = words.COLUMN_TITLES[column]
            parts += [f"## In full: {title}", _further(lines, column, further)]
    if reproductions := words.reproductions(table):
        parts += ["## Published numbers", *words.reproduced(table), "\n".join(f"- {sentence}" for sentence in reproductions)]
    if verdicts := words.verdicts(table):
        parts.append("\n".join(f"- {sentence}" for sentence, _ in verdicts))
    if teachers := words.teachers(table):
        parts += ["## First teachers", "\n".join(f"- {sentence}" for sentence in teachers)]
    receipts = [f"- {cell.row} {cell.column}: {cell.status}, receipt `{_ids(cell)}`" for cell in table.cells if cell.receipts]
    if receipts:
        parts += ["## Receipts", "\n".join(receipts)]
    return "\n\n".join(parts) + "\n"


def _grid(lines: Sequence[Line]) -> str:
    """The Markdown table of some rows, with the columns that any of them has."""
    words_of = {
        "row": [line.name for line in lines],
        "student": [line.architecture for line in lines],
        "teacher": [line.declared.title for line in lines],
        "asymmetric": [line.asymmetric for line in lines],
    }
    numbers_of = {}
    for group in groups(lines):
        column = group.column
        cells = [line.cells[column] for line in lines]
        numbers_of[f"{column} measured"] = [_measured(cell) for cell in cells]
        if group.controlled:
            numbers_of[f"{column} control"] = [words.control(line, column) for line in lines]
            numbers_of[f"{column} margin"] = [words.signed(line.margin(column)) for line in lines]
        if group.published:
            numbers_of[f"{column} published"] = [words.number(cell.published) or "–" for cell in cells]
        if group.difference:
            numbers_of[f"{column} difference"] = [words.signed(cell.difference) for cell in cells]
            numbers_of[f"{column} reproduced"] = [_yes_or_no(cell.reproduced) for cell in cells]
    numbers_of["hours"] = [words.hours(line) for line in lines]
    columns = {**words_of, **numbers_of}
    rows = [list(columns), *map(list, zip(*columns.values(), strict=True))]
    return "\n".join(_aligned(rows, [name in numbers_of for name in columns]))


def _further(lines: Sequence[Line], column: Column, names: Sequence[str]) -> str:
    heads = ["row", words.HEADS[column], *(FURTHER[column][name] for name in names)]
    rows = [[line.name, *map(words.number, (line.cells[column].measured, *map(line.cells[column].further, names)))] for line in lines]
    return "\n".join(_aligned([heads, *rows], [False] + [True] * (1 + len(names))))


def _measured(cell: Cell) -> str:
    if cell.measured is not None:
        return words.measured(cell.measured, cell.sd) + (f" ({', '.join(cell.notes)})" if cell.notes else "")
    return f"*{cell.status}*" if cell.exists else cell.status


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> Iterator[str]:
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(3, *(len(row[i]) for row in escaped)) for i in range(len(right))]
    for number, row in enumerate(escaped):
        yield "| " + " | ".join(f"{cell:{'>' if end else '<'}{wide}}" for cell, end, wide in zip(row, right, widths, strict=True)) + " |"
        if number == 0:
            yield "| " + " | ".join("-" * (wide - 1) + (":" if end else "-") for end, wide in zip(right, widths, strict=True)) + " |"
