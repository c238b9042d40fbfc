"""The metrics of a job by epoch, as the file metrics.csv beside its receipt."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from dbot.base.errors import UserError
from dbot.base.files import write_whole

History = Sequence[Mapping[str, float | None]]
"""One mapping an epoch; each has the key ``epoch``, and None stands for what was not measured."""

SPEED = ("images_per_second", "data_wait")
"""What says how fast an epoch went: it belongs to the execution, not to the result."""


def write_history(path: Path, rows: History) -> None:
    """Write a history whole: ``epoch`` first, the other columns in the order in which they first appear.

    Floats are written so that reading gives the same bits; what is missing is an empty cell.
    """
    columns = list(dict.fromkeys(["epoch", *(key for row in rows for key in row)]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(column, row.get(column)) for column in columns])
    write_whole(path, text.getvalue().encode())


def without_speed(rows: History) -> tuple[list[dict[str, float | None]], list[dict[str, float]]]:
    """A history's numbers that the parameters decide, and those that the machine does, both by epoch."""
    measured = [{key: value for key, value in row.items() if key not in SPEED} for row in rows]
    epochs = [{key: float(row[key] or 0) for key in ("epoch", *SPEED) if row.get(key) is not None} for row in rows]
    return measured, epochs


def read_history(path: Path) -> list[dict[str, float | None]]:
    """Read a history; every row has all columns, and ``epoch`` is an int.

    Raises:
        UserError: the file is missing or was not written by `write_history`.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return [
                {key: None if cell == "" else int(cell) if key == "epoch" else float(cell) for key, cell in row.items()}
                for row in csv.DictReader(stream, strict=True)
            ]
    except (OSError, UnicodeDecodeError, ValueError, TypeError, csv.Error) as error:
        raise UserError(
            f"{path}: is not a table of metrics by epoch ({error}); `git checkout {path}` restores it, else run its job again"
        ) from None


def _cell(column: str, value: float | None) -> str:
    if value is None:
        return ""
    return repr(int(value) if column == "epoch" else float(value))
