"""What an analysis finds, and its files: one CSV a property, one line a number."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from dbot.base.errors import UserError

Grid: TypeAlias = tuple[tuple[float, ...], ...]
"""Rows of equal length."""

DISTANCES = "attention_distance.csv"
SHARES = "singular_shares.csv"


@dataclass(frozen=True)
class Insides:
    """What a network's layers do, averaged over images. Layers and heads count from 0."""

    distances: Grid
    """Attention distance in pixels, by layer and head."""
    shares: Grid
    """Share of the k largest singular values, 0 to 1, by layer and k - 1."""


@dataclass(frozen=True)
class Similarity:
    """How like the tokens of two networks are."""

    cka: Grid
    """Linear CKA, 0 to 1, by layer of the first network and layer of the second, both from 0."""


def write_insides(folder: Path, insides: Insides) -> None:
    """Write ``attention_distance.csv`` (layer, head, distance) and ``singular_shares.csv`` (layer, k, share; k from 1)."""
    _write(folder / DISTANCES, ("layer", "head", "distance"), insides.distances)
    _write(folder / SHARES, ("layer", "k", "share"), insides.shares, second_from=1)


def read_insides(folder: Path) -> Insides:
    """Read what `write_insides` wrote, to the same bits.

    Raises:
        UserError: a file is missing or holds something else.
    """
    return Insides(
        distances=_read(folder / DISTANCES, ("layer", "head", "distance")),
        shares=_read(folder / SHARES, ("layer", "k", "share"), second_from=1),
    )


def write_similarity(path: Path, similarity: Similarity) -> None:
    """Write a CSV with the columns layer_a, layer_b, cka."""
    _write(path, ("layer_a", "layer_b", "cka"), similarity.cka)


def _write(path: Path, names: Sequence[str], grid: Grid, second_from: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(names)
        writer.writerows((i, j, value) for i, row in enumerate(grid) for j, value in enumerate(row, second_from))


def _read(path: Path, names: tuple[str, str, str], second_from: int = 0) -> Grid:
    first, second, value = names
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            lines = list(csv.DictReader(stream, strict=True))
        found = {(int(line[first]), int(line[second]) - second_from): float(line[value]) for line in lines}
    except (OSError, UnicodeDecodeError, ValueError, TypeError, KeyError, csv.Error) as error:
        raise UserError(f"{path}: is not a table of {', '.join(names)} ({error}); run its job again") from None
    height, width = (1 + max((place[axis] for place in found), default=-1) for axis in (0, 1))
    if not lines or len(lines) != len(found) or set(found) != {(i, j) for i in range(height) for j in range(width)}:
        raise UserError(f"{path}: doesn't give {value} once for every {first} and {second}; run its job again")
    return tuple(tuple(found[i, j] for j in range(width)) for i in range(height))
