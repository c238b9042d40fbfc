"""Geometry for the SVGs of the page: the graph of rules, and curves of metrics by epoch.

Drawn by the page itself, they follow its colours in light and dark and need no font or script.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dbot.lineage.history import History
from dbot.lineage.judge import Judge
from dbot.plan import Job

BOX = (108, 40)
"""Width and height of a rule's box."""
GAP = (48, 14)
"""Between columns, and between the boxes of one."""
MARGIN = 6


@dataclass(frozen=True)
class Node:
    """A rule."""

    verb: str
    jobs: int
    done: int
    x: int
    y: int


@dataclass(frozen=True)
class Edge:
    """Receipts of one rule that another reads: a curve from box to box."""

    path: str
    description: str


@dataclass(frozen=True)
class Graph:
    """The rules of a plan, from left to right."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    width: int
    height: int
    box: tuple[int, int] = BOX


def graph(jobs: Sequence[Job], judge: Judge) -> Graph:
    """The graph of some jobs' rules; a rule stands one column to the right of the last that feeds it.

    A stage that follows a stage is no edge: its rule feeds itself.
    """
    feeds: dict[str, set[str]] = {}
    counts: dict[str, tuple[int, int]] = {}
    for job in jobs:
        feeds.setdefault(job.verb, set()).update(needed.verb for needed in job.inputs.values() if needed.verb != job.verb)
        count, done = counts.get(job.verb, (0, 0))
        counts[job.verb] = count + 1, done + (judge.of(job).state.holds)

    def depth(verb: str) -> int:
        return 1 + max((depth(before) for before in feeds[verb] if before in feeds), default=-1)

    columns: dict[int, list[str]] = {}
    for verb in feeds:
        columns.setdefault(depth(verb), []).append(verb)
    tallest = max((len(verbs) for verbs in columns.values()), default=0)
    places = {}
    for column, verbs in columns.items():
        # Centred, so that edges stay short.
        above = (tallest - len(verbs)) * (BOX[1] + GAP[1]) // 2
        for row, verb in enumerate(verbs):
            places[verb] = MARGIN + column * (BOX[0] + GAP[0]), MARGIN + above + row * (BOX[1] + GAP[1])
    nodes = tuple(Node(verb, jobs_of, done, *places[verb]) for verb, (jobs_of, done) in counts.items())
    edges = tuple(_edge(before, after, places) for after in feeds for before in sorted(feeds[after]) if before in places)
    width = 2 * MARGIN + len(columns) * (BOX[0] + GAP[0]) - GAP[0]
    return Graph(nodes, edges, width, 2 * MARGIN + tallest * (BOX[1] + GAP[1]) - GAP[1])


def _edge(before: str, after: str, places: dict[str, tuple[int, int]]) -> Edge:
    (x, y), (to_x, to_y) = places[before], places[after]
    x, y, to_y = x + BOX[0], y + BOX[1] // 2, to_y + BOX[1] // 2
    bend = (to_x - x) // 2
    return Edge(f"M{x},{y} C{x + bend},{y} {to_x - bend},{to_y} {to_x},{to_y}", f"{before} feeds {after}")


WIDTH, HEIGHT = 280, 150
LEFT, RIGHT, TOP, BOTTOM = 40, 10, 10, 24


@dataclass(frozen=True)
class Curve:
    """One metric of one job."""

    label: str
    reference: bool
    """Drawn in the background, to compare with."""
    points: tuple[tuple[float, float], ...]
    """Epoch and value, by epoch."""


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, in the chart's units, and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """A curve in the chart's units."""

    label: str
    reference: bool
    path: str
    """Points of an SVG polyline."""
    end: tuple[float, float]


@dataclass(frozen=True)
class Chart:
    """A small chart with everything at its place."""

    title: str
    description: str
    """What the chart shows, for those who can't see it."""
    note: str
    lines: tuple[Line, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    axis: str = "epoch"
    """What is across."""
    borders: tuple[Tick, ...] = ()
    """Where a stage ends and the next begins, with the name of the one that begins."""


def curve(history: History, metric: str, label: str, reference: bool = False) -> Curve:
    """The values of one metric; epochs where it is missing or not finite are left out."""
    found = [(row["epoch"], row.get(metric)) for row in history]
    points = tuple((float(x), float(y)) for x, y in found if x is not None and y is not None and math.isfinite(y))
    return Curve(label, reference, points)


def in_a_row(stages: Sequence[tuple[Curve, float]]) -> tuple[list[Curve], list[float]]:
    """The curves of stages one behind the other on an axis that counts the epochs of all, and where each but the first begins.

    Args:
        stages: of each its curve, empty where there is none, and its length in epochs.
    """
    moved, begins, at = [], [], 0.0
    for curve_of_stage, epochs in stages:
        begins.append(at)
        moved.append(replace(curve_of_stage, points=tuple((x + at, y) for x, y in curve_of_stage.points)))
        at += epochs
    return moved, begins[1:]


def chart(title: str, curves: Sequence[Curve], note: str = "", borders: Sequence[tuple[float, str]] = ()) -> Chart | None:
    """A chart of curves over the same epochs; None if none of them has a point.

    Args:
        title: what is drawn.
        curves: those without a point are left out.
        note: what to know of it.
        borders: epochs at which something new begins, and what; those outside the curves are left out.
    """
    curves = [curve for curve in curves if curve.points]
    if not curves:
        return None
    xs, ys = ([point[axis] for curve in curves for point in curve.points] for axis in (0, 1))
    marks = ticks(min(ys), max(ys))
    low, high = min(marks[0], min(ys)), max(marks[-1], max(ys))

    def x(value: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * _share(value, min(xs), max(xs)), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * _share(value, low, high), 1)

    lines = tuple(
        Line(c.label, c.reference, " ".join(f"{x(a)},{y(b)}" for a, b in c.points), (x(c.points[-1][0]), y(c.points[-1][1])))
        for c in sorted(curves, key=lambda c: not c.reference)
    )
    said = [f"{c.label} from {c.points[0][1]:.4g} to {c.points[-1][1]:.4g} over {len(c.points)} epochs" for c in curves]
    return Chart(
        title=title,
        description=f"{title}: {'; '.join(said)}",
        note=note,
        lines=lines,
        across=tuple(Tick(x(value), f"{value:g}") for value in dict.fromkeys((min(xs), max(xs)))),
        up=tuple(Tick(y(value), f"{value:g}") for value in marks),
        borders=tuple(Tick(x(at), text) for at, text in borders if min(xs) <= at < max(xs)),
    )


def ticks(low: float, high: float) -> list[float]:
    """Two to five round numbers that span about the interval, in order."""
    span = high - low
    if span <= 1e-9 * max(abs(low), abs(high), 1e-9):  # no more than rounding tells them apart
        span = max(abs(low), abs(high), 1.0)
    power = 10 ** math.floor(math.log10(span))
    step = next(power * factor for factor in (0.2, 0.5, 1, 2, 5) if span / (power * factor) <= 4)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [float(f"{i * step:.12g}") for i in range(first, max(last, first + 1) + 1)]


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5
