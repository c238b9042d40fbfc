"""What happens inside the networks: numbers by layer from the receipts' files, and the paper's two figures of them."""

import base64
import csv
import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dbot.base.errors import UserError
from dbot.lineage import receipt as receipts
from dbot.lineage.judge import Judge, Standing
from dbot.measure.insides import DISTANCES, SHARES, Insides, read_insides
from dbot.plan import Plan
from dbot.report.networks import Network, networks

FIGURES = {
    "attention_distance": "Average attention distance of each head, by layer, in pixels of the network's images",
    "singular_shares": "Share of the largest singular values of an image's tokens, by layer",
}
"""By the stem of the files, what the figure shows."""


COLUMNS = {
    "attention_distance": "mean distance, px",
    "attention_distance_first_layer": "first layer, px",
    "attention_distance_last_layer": "last layer, px",
    "top1_share_last_layer": "top-1 share, last layer",
}
"""Findings on the receipts that the page shows, and what it calls them."""


@dataclass(frozen=True)
class Analysed:
    """A network of a row, and what was found inside it."""

    network: Network
    found: Standing | None
    """None: it is no plain ViT with a block, so there is nothing to look at."""
    insides: Insides | None
    """None unless the job is done, and its files are those on its receipt."""
    problem: str
    """Why there are none, where that is more than that the job has not run."""


@dataclass(frozen=True)
class View:
    """What the page shows."""

    figures: Mapping[str, str]
    """By what they show, the figures as addresses that hold them; none where nothing was analysed."""
    drawn: tuple[str, ...]
    """The rows that have panels in them."""
    shown: tuple[Analysed, ...]
    """The networks of rows of which anything was analysed."""
    idle: tuple[str, ...]
    """The other rows."""
    columns: Mapping[str, str]


def view(lines: Sequence[Analysed]) -> View:
    """The page's share of it."""
    rows = list(dict.fromkeys(line.network.row for line in lines))
    own = [line for line in lines if line.network.is_own]
    drawn = drawn_rows(lines)
    told = [row for row in rows if row in drawn or any(line.problem for line in own if line.network.row == row)]
    return View(
        figures=inlined(lines) if drawn else {},
        drawn=tuple(drawn),
        shown=tuple(line for line in lines if line.network.row in told),
        idle=tuple(row for row in rows if row not in told),
        columns=COLUMNS,
    )


def build(plan: Plan, judge: Judge) -> list[Analysed]:
    """The networks of a scale as the receipts now have them."""
    lines = []
    for network in networks(plan):
        if not plan.has_attention(*network.place):
            lines.append(Analysed(network, None, None, ""))
            continue
        found = judge.of(plan.analyse(*network.place))
        insides, problem = _read(found)
        lines.append(Analysed(network, found, insides, problem))
    return lines


def _read(found: Standing) -> tuple[Insides | None, str]:
    if found.receipt is None or not found.state.holds:
        return None, "" if not found.state.is_there else found.reason
    folder, artifacts = found.path.parent, found.receipt.artifacts
    try:
        for name in (DISTANCES, SHARES):
            receipts.verified(folder, name, artifacts[name])
        return read_insides(folder), ""
    except KeyError as error:
        return None, f"{found.path}: names no file {error}"
    except UserError as error:
        return None, str(error)


def drawn_rows(lines: Sequence[Analysed]) -> list[str]:
    """The rows that have a panel: those of which a network of their own was analysed."""
    return list(dict.fromkeys(line.network.row for line in lines if line.network.is_own and line.insides is not None))


def draw(lines: Sequence[Analysed], folder: Path) -> list[Path]:
    """Write the two figures, a panel a row, its first teacher above the last student that was analysed; returns the SVGs.

    Raises:
        UserError: nothing was analysed.
    """
    from dbot.measure.plots import Panel, draw_distances, draw_shares

    panels = []
    for row in drawn_rows(lines):
        own = [line for line in lines if line.network.row == row]
        # Students are set beside each other; a fine-tuned file is shown where there is nothing before it.
        before = [line for line in own if not line.network.finetuned and line.insides is not None]
        by_stage = {line.network.stage: line.insides for line in before or own}
        last = max((stage for stage in by_stage if stage > 0 and by_stage[stage] is not None), default=max(by_stage))
        panels.append(Panel(row, last, by_stage.get(0), by_stage[last]))
    if not panels:
        raise UserError("no network was analysed at this scale yet; run `snakemake analyses`")
    stems = [folder / name for name in FIGURES]
    for drawn, stem in zip((draw_distances, draw_shares), stems, strict=True):
        drawn(panels, stem)
    return [stem.with_name(f"{stem.name}.svg") for stem in stems]


def inlined(lines: Sequence[Analysed]) -> dict[str, str]:
    """By what they show, the two figures as addresses that hold them.

    As images of their own they can't clash with each other's names, or with the page's.

    Raises:
        UserError: nothing was analysed.
    """
    with tempfile.TemporaryDirectory() as folder:
        drawn = [path.read_bytes() for path in draw(lines, Path(folder))]
    return {
        said: f"data:image/svg+xml;base64,{base64.b64encode(picture).decode()}"
        for said, picture in zip(FIGURES.values(), drawn, strict=True)
    }


def csv_text(plan: Plan, lines: Sequence[Analysed]) -> str:
    """One line a number: attention distance by head in pixels, and shares by how many singular values they are of."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["row", "stage", "network", "property", "layer", "number", "value", "receipt", "scale", "data"])
    for line in lines:
        if line.insides is None or line.found is None or line.found.receipt is None:
            continue
        network, end = line.network, (line.found.receipt.id[:12], plan.scale, plan.resolved.params.uses.cls)
        for name, grid, first in (("attention_distance", line.insides.distances, 0), ("singular_share", line.insides.shares, 1)):
            for layer, values in enumerate(grid):
                writer.writerows(
                    (network.row, network.stage, network.title, name, layer, number, value, *end)
                    for number, value in enumerate(values, start=first)
                )
    return out.getvalue()
