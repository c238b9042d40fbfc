"""Reliability diagrams of the classifiers: accuracy by confidence, as the measurements left them (Guo et al., arXiv 1706.04599)."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dbot.base.errors import UserError
from dbot.jobs.evaluate import RELIABILITY
from dbot.lineage import receipt as receipts
from dbot.report.table import Line, Seed, Table

SIDE = 150
"""Of the square that confidence and accuracy span, in the drawing's units."""
ORIGIN = (34, 8)
"""Of its upper left corner."""


@dataclass(frozen=True)
class Bar:
    """The images of one bin of confidence."""

    x: float
    y: float
    width: float
    height: float
    said: str
    """In words."""


@dataclass(frozen=True)
class Diagram:
    """One seed of a row's classifier."""

    line: Line
    seed: int
    ece: float
    """Expected calibration error, in percent."""
    brier: float
    bars: tuple[Bar, ...]
    problem: str = ""
    """Why there are no bars."""


def diagrams(table: Table) -> Iterator[Diagram]:
    """Of every measured cell of column cls whose receipts speak of it, the first seed's diagram."""
    for line in table.lines:
        seeds = [seed for seed in line.cells["cls"].seeds if seed.value is not None and _said(seed, "ece") is not None]
        if seeds and "cls" not in line.declared.columns_from:
            yield _diagram(line, seeds[0])


def _said(seed: Seed, name: str) -> float | None:
    found = seed.found.receipt.results.get(name) if seed.found is not None and seed.found.receipt is not None else None
    return float(found) if isinstance(found, int | float) else None


def _diagram(line: Line, seed: Seed) -> Diagram:
    assert seed.found is not None
    assert seed.found.receipt is not None
    ece, brier = (_said(seed, name) or 0.0 for name in ("ece", "brier"))
    try:
        path = receipts.verified(seed.found.path.parent, RELIABILITY, seed.found.receipt.artifacts[RELIABILITY])
        drawn = tuple(bars(path))
        return Diagram(line, seed.seed, ece, brier, drawn, "" if drawn else f"{path} can't be read")
    except (UserError, ValueError, KeyError) as error:
        return Diagram(line, seed.seed, ece, brier, (), str(error) if isinstance(error, UserError) else f"{RELIABILITY} can't be read")


def bars(path: Path) -> Iterator[Bar]:
    """A bar for each bin that has images, as high as they are right.

    Raises:
        KeyError, ValueError: the file is no table of bins.
    """
    left, top = ORIGIN
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            above, up_to, images = float(row["above"]), float(row["up_to"]), int(row["images"])
            if images:
                accuracy, confidence = float(row["accuracy"]), float(row["confidence"])
                said = f"{images} images with confidence {confidence:.2f}: {accuracy:.2f} of them right"
                x, width, height = left + SIDE * above, SIDE * (up_to - above), SIDE * accuracy
                yield Bar(round(x, 1), round(top + SIDE - height, 1), round(width, 1), round(height, 1), said)
