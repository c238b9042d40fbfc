"""The tables of several places, side by side: as text for people, CSV and JSON for programs, and one page with filters."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from dbot.report import words
from dbot.report.tables_compared import Beside, Cell, Difference, Measured, State, Tables, What

HERE = Path(__file__).parent


def as_text(tables: Tables) -> str:
    """The cells of all places, and below them what differs behind each that does."""
    return "\n".join(_lines(tables)) + "\n"


def _lines(tables: Tables) -> Iterator[str]:
    for letter, place in zip(tables.letters, tables.places, strict=True):
        yield f"{letter}  {place.place} ({place.about}): {len(place.receipts)} receipts"
    yield ""
    heads = ["scale", "row", "column", *(head for _, head in _columns(tables)), "seeds", "differs in"]
    rows = [[cell.scale, cell.row, cell.column, *_numbers(cell), seeds(cell), differs_in(cell)] for cell in tables.cells]
    right = [False] * 3 + [True] * len(_columns(tables)) + [False] * 2
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    for row in [heads, *rows]:
        yield "  ".join(f"{text:{'>' if end else '<'}{wide}}" for text, end, wide in zip(row, right, widths, strict=True)).rstrip()
    yield from ("", summary(tables))
    for cell in tables.cells:
        for letter, beside in zip(tables.letters[1:], cell.beside, strict=True):
            if beside.differences:
                yield from ("", f"{cell.scale} {cell.row} {cell.column}, A | {letter}:")
                yield from (f"  {one.what:<12}  {one.key}: {one.was} | {one.now}  ({one.told})" for one in beside.differences)


def summary(tables: Tables) -> str:
    """How many cells are what."""
    counts = ", ".join(f"{tables.count(state)} {state}" for state in State if tables.count(state))
    return f"{len(tables.cells)} cells: {counts or 'none'}"


def _columns(tables: Tables) -> list[tuple[int, str]]:
    """Of the numbers: which place, and the head; every place but the first has its difference to that one beside it."""
    return [
        column for n, letter in enumerate(tables.letters) for column in ([(n, letter)] if n == 0 else [(n, letter), (n, f"{letter} - A")])
    ]


def _numbers(cell: Cell) -> list[str]:
    found = [measured(cell.at[0])]
    for at, beside in zip(cell.at[1:], cell.beside, strict=True):
        found += [measured(at), signed(beside)]
    return found


def measured(found: Measured | None) -> str:
    """``81.20 ± 0.31``; a dash where there is no number, and a mark where it can't be traced."""
    if found is None or found.mean is None:
        return "–"
    deviation = f" ± {found.sd:.2f}" if found.sd is not None else ""
    return f"{found.mean:.2f}{deviation}{' *' if found.lost else ''}"


def signed(beside: Beside) -> str:
    """The difference in points, over the seeds that both have."""
    return "" if beside.difference is None else "0" if beside.difference == 0 else f"{beside.difference:+.2f}"


def seeds(cell: Cell) -> str:
    """The seeds of the cell: once where all places have the same, else by place."""
    found = [" ".join(map(str, at.seeds)) if at is not None else "–" for at in cell.at]
    return found[0] if len(set(found)) == 1 else " | ".join(found)


def differs_in(cell: Cell) -> str:
    """What differs, in words."""
    if cell.state is State.OTHER or (cell.state is State.EQUAL and cell.kinds):
        return ", ".join(cell.kinds) + (f" ({cell.state})" if cell.state is State.EQUAL else "")
    return "" if cell.state is State.SAME else str(cell.state)


def as_csv(tables: Tables) -> str:
    """One line a cell: of every place mean in %, deviation, seeds and receipts; of all but the first the difference to that in points."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    heads = ["scale", "row", "column"]
    for number, letter in enumerate(tables.letters):
        heads += [f"{letter}_measured", f"{letter}_sd", f"{letter}_seeds", f"{letter}_receipts"]
        heads += [f"{letter}_difference", f"{letter}_state", f"{letter}_differs_in"] if number else []
    writer.writerow(heads)
    for cell in tables.cells:
        record = [cell.scale, cell.row, cell.column]
        for number, at in enumerate(cell.at):
            record += [_plain(at.mean if at else None), _plain(at.sd if at else None), " ".join(map(str, at.seeds)) if at else "", _ids(at)]
            if number:
                beside = cell.beside[number - 1]
                record += [_plain(beside.difference), str(beside.state), "; ".join(beside.kinds)]
        writer.writerow(record)
    return out.getvalue()


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _ids(at: Measured | None) -> str:
    return " ".join(receipt.id[:12] for receipt in at.seeds.values()) if at else ""


def document(tables: Tables) -> dict[str, Any]:
    """All of it, for programs: numbers with all their digits, and every finding of every seed."""
    places = [
        {"letter": letter, "place": place.place, "about": place.about, "receipts": len(place.receipts)}
        for letter, place in zip(tables.letters, tables.places, strict=True)
    ]
    return {"places": places, "cells": [_cell(tables, cell) for cell in tables.cells]}


def _cell(tables: Tables, cell: Cell) -> dict[str, Any]:
    at = {
        letter: found
        and {
            "mean": found.mean,
            "sd": found.sd,
            "lost": found.lost,
            "seeds": {str(seed): {"receipt": receipt.id, "results": dict(receipt.results)} for seed, receipt in found.seeds.items()},
        }
        for letter, found in zip(tables.letters, cell.at, strict=True)
    }
    beside = {
        letter: {
            "state": each.state,
            "seeds": list(each.seeds),
            "difference": each.difference,
            "differences": [{"what": d.what, "key": d.key, "was": d.was, "now": d.now, "jobs": list(d.jobs)} for d in each.differences],
        }
        for letter, each in zip(tables.letters[1:], cell.beside, strict=True)
    }
    return {"scale": cell.scale, "row": cell.row, "column": cell.column, "at": at, "beside": beside}


def as_page(tables: Tables) -> str:
    """One HTML file, with everything in it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(measured=measured, signed=signed, seeds=seeds, by_key=_by_key)
    return environment.get_template("tables.html").render(
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        tables=tables,
        summary=summary(tables),
        scales=list(dict.fromkeys(cell.scale for cell in tables.cells)),
        columns=list(dict.fromkeys(cell.column for cell in tables.cells)),
        states=list(State),
        kinds=list(What),
        heads=words.HEADS,
        count=tables.count,
        letters=tables.letters,
        pairs=lambda cell: list(zip(tables.letters[1:], cell.beside, strict=True)),
    )


def _by_key(found: Sequence[Difference]) -> list[tuple[What, list[Difference]]]:
    """Differences by kind, in the order in which they are told."""
    return [(what, own) for what in What if (own := [one for one in found if one.what is what])]
