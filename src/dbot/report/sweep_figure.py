"""The figure of a sweep: a panel for each column, a line for each variant over the number of stages."""

from pathlib import Path

from matplotlib.ticker import MaxNLocator

from dbot.measure.plots import drawn
from dbot.report.sweeps import Swept
from dbot.report.words import HEADS

PANEL = (3.2, 2.4)
"""Width and height of a panel in inches."""


def draw(swept: Swept, stem: Path) -> list[Path]:
    """Write stem.svg and stem.png; the same numbers give the same bytes.

    Where only one number of stages is swept, variants stand side by side instead.
    """
    sweep = swept.declared
    with drawn(stem, (PANEL[0] * len(sweep.columns), PANEL[1])) as figure:
        for axes, column in zip(figure.subplots(1, len(sweep.columns), squeeze=False)[0], sweep.columns, strict=True):
            axes.set_ylabel(f"{HEADS[column]} in %")
            if len(sweep.stages) > 1:
                for variant in sweep.variants:
                    found = [(stages, swept.measured(variant.name, stages, column)) for stages in sweep.stages]
                    points = [(stages, value) for stages, value in found if value is not None]
                    axes.plot([x for x, _ in points], [y for _, y in points], marker="o", markersize=3, label=variant.title)
                axes.set_xlabel("stages of distillation")
                axes.xaxis.set_major_locator(MaxNLocator(integer=True))
                axes.legend()
            else:
                values = [swept.measured(variant.name, sweep.stages[0], column) for variant in sweep.variants]
                known = [(variant.title, value) for variant, value in zip(sweep.variants, values, strict=True) if value is not None]
                axes.plot([value for _, value in known], [title for title, _ in known], linestyle="none", marker="o")
                axes.set_ylabel("")
                axes.set_xlabel(f"{HEADS[column]} in %, {sweep.stages[0]} stages")
    return [stem.with_name(f"{stem.name}{suffix}") for suffix in (".svg", ".png")]
