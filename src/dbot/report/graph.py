"""The graph of rules as geometry for an SVG: how many jobs each has, how many are done, and what feeds what."""

from collections.abc import Sequence
from dataclasses import dataclass

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
