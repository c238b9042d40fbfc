"""The galleries of dense cells, for the page: pictures in it, so that it opens without anything beside it."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass

from dbot.jobs.evaluate import GALLERY
from dbot.params.rows import Column
from dbot.report.table import Table


@dataclass(frozen=True)
class Gallery:
    """The gallery of one measurement."""

    row: str
    column: Column
    seed: int
    jpeg: str
    """The picture, in base64."""


def galleries(table: Table) -> Iterator[Gallery]:
    """Of every dense cell that is measured, for each seed whose picture lies beside its receipt.

    A cell that a row has from another one is shown there.
    """
    for cell in table.cells:
        if cell.column in table.params.rows[cell.row].columns_from:
            continue
        for seed in cell.seeds:
            if cell.column == "cls" or seed.value is None or seed.found is None:
                continue
            path = seed.found.job.folder / GALLERY
            if path.is_file():
                yield Gallery(cell.row, cell.column, seed.seed, base64.b64encode(path.read_bytes()).decode())
