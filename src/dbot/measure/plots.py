"""The paper's two figures of the analyses, and one of similarity, as SVG and PNG; the same numbers give the same bytes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from dbot.measure.insides import Insides, Similarity

STYLE = {
    "svg.hashsalt": "dbot",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "savefig.dpi": 200,
}
COLOUR = "#1f6f8b"
PANEL = (2.3, 1.9)
"""Width and height of a panel in inches."""
LEGEND = 0.7
"""Width of a legend beside the panels, in inches."""


@dataclass(frozen=True)
class Panel:
    """One teacher: above its own insides, below those of the last student that descends from it."""

    teacher: str
    stages: int
    """The number of that last student's stage."""
    zeroth: Insides | None
    """The teacher's; None where it was not analysed, as a convolutional network can't be."""
    last: Insides | None


def draw_distances(panels: Sequence[Panel], stem: Path) -> None:
    """Attention distance by layer, a dot a head; written to stem.svg and stem.png."""
    with _grid_of(panels, stem, "attention distance in px") as places:
        for axes, insides in places:
            for layer, heads in enumerate(insides.distances):
                axes.plot(
                    [layer] * len(heads), heads, linestyle="none", marker="o", markersize=3, alpha=0.6, markeredgewidth=0, color=COLOUR
                )


def draw_shares(panels: Sequence[Panel], stem: Path) -> None:
    """Share of the largest singular values by layer, a line for each number of them; written to stem.svg and stem.png."""
    with _grid_of(panels, stem, "share of singular values") as places:
        for number, (axes, insides) in enumerate(places):
            axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
            by_number = list(zip(*insides.shares, strict=True))
            for k, shares in reversed(list(enumerate(by_number, start=1))):
                shade = mpl.colormaps["viridis"]((k - 1) / len(by_number))
                axes.plot(range(len(shares)), shares, marker="o", markersize=2.5, linewidth=1, color=shade, label=f"top {k}")
            if number == 0:
                axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside right center")


def draw_similarity(similarity: Similarity, first: str, second: str, stem: Path) -> None:
    """CKA of all pairs of layers as shades from 0 to 1; written to stem.svg and stem.png.

    Args:
        first: what to call the network up the side.
        second: what to call the one along the bottom.
    """
    with drawn(stem, (3.2, 2.6)) as figure:
        axes = figure.add_subplot()
        shades = axes.imshow(similarity.cka, vmin=0, vmax=1, origin="lower", cmap="viridis")
        axes.set_xlabel(f"layer of {second}")
        axes.set_ylabel(f"layer of {first}")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
        figure.colorbar(shades, label="linear CKA")


@contextmanager
def _grid_of(panels: Sequence[Panel], stem: Path, quantity: str) -> Iterator[list[tuple[Axes, Insides]]]:
    """The places to draw in, a column a teacher, the zeroth stage above the last; all on the same scale."""
    with drawn(stem, (PANEL[0] * len(panels) + LEGEND, PANEL[1] * 2)) as figure:
        grid = figure.subplots(2, len(panels), sharey=True, squeeze=False)
        places = []
        for column, panel in enumerate(panels):
            for row, (stage, insides) in enumerate(((0, panel.zeroth), (panel.stages, panel.last))):
                axes: Axes = grid[row, column]
                axes.set_title(f"{panel.teacher}, stage {stage}")
                axes.set_xlabel("layer")
                axes.xaxis.set_major_locator(MaxNLocator(integer=True))
                if column == 0:
                    axes.set_ylabel(quantity)
                if insides is None:
                    axes.set_xticks([])
                    axes.text(0.5, 0.5, "not analysed", transform=axes.transAxes, ha="center", va="center")
                else:
                    places.append((axes, insides))
        yield places
        grid[0, 0].set_ylim(bottom=0)


@contextmanager
def drawn(stem: Path, inches: tuple[float, float]) -> Iterator[Figure]:
    """A figure that is written at the end, in this style whatever the user's own is."""
    with style.context(["default", STYLE]):
        figure = Figure(figsize=inches, layout="constrained")
        yield figure
        stem.parent.mkdir(parents=True, exist_ok=True)
        undated: dict[str, Any] = {"Date": None}
        figure.savefig(stem.with_name(f"{stem.name}.svg"), metadata=undated)
        figure.savefig(stem.with_name(f"{stem.name}.png"))
