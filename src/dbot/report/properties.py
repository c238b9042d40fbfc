"""What happens inside the networks: numbers by layer from the receipts' files, and the paper's two figures of them."""

import base64
import csv
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dbot.analyse.properties import DISTANCES, SHARES, Properties, read_properties
from dbot.errors import UserError
from dbot.plan import Plan
from dbot.record import receipt as receipts
from dbot.report.evidence import Evidence, Finding, State
from dbot.report.networks import Network, networks

FIGURES = {
    "attention_distance": "Average attention distance of each head, by layer, in pixels of the network's images",
    "singular_shares": "Share of the largest singular values of an image's tokens, by layer",
}
"""By the stem of the files, what the figure shows."""


@dataclass(frozen=True)
class Analysed:
    """A network of a row, and what was found inside it."""

    network: Network
    found: Finding | None
    """None: it is no plain ViT with a block, so there is nothing to look at."""
    properties: Properties | None
    """None unless the job is done, and its files are those on its receipt."""
    problem: str
    """Why there are none, where that is more than that the job has not run."""
    asked: bool
    """Whether a bare `snakemake` or `snakemake properties` runs it."""


def build(plan: Plan, evidence: Evidence) -> list[Analysed]:
    """The networks of a scale as the receipts now have them."""
    asked = {job.name for job in plan.analyses()}
    lines = []
    for network in networks(plan):
        if not plan.has_attention(*network.place):
            lines.append(Analysed(network, None, None, "", False))
            continue
        job = plan.analyse(*network.place)
        found = evidence.of(job)
        properties, problem = _read(found)
        lines.append(Analysed(network, found, properties, problem, job.name in asked))
    return lines


def _read(found: Finding) -> tuple[Properties | None, str]:
    if found.receipt is None or found.state is not State.DONE:
        return None, "" if found.state is State.NOT_RUN else found.reason
    folder, artifacts = found.path.parent, found.receipt.identity.artifacts
    try:
        for name in (DISTANCES, SHARES):
            receipts.verified(folder, name, artifacts[name])
        return read_properties(folder), ""
    except KeyError as error:
        return None, f"{found.path}: names no file {error}"
    except UserError as error:
        return None, str(error)


def shown(lines: Sequence[Analysed]) -> list[Analysed]:
    """The lines of rows of which anything was analysed."""
    rows = {line.network.row for line in lines if line.properties is not None or line.problem}
    return [line for line in lines if line.network.row in rows]


def idle(lines: Sequence[Analysed]) -> list[str]:
    """The other rows."""
    rows = {line.network.row for line in shown(lines)}
    return list(dict.fromkeys(line.network.row for line in lines if line.network.row not in rows))


def draw(lines: Sequence[Analysed], folder: Path) -> list[Path]:
    """Write the two figures, a panel a row, its first teacher above the last student that was analysed; returns the SVGs.

    Raises:
        UserError: nothing was analysed.
    """
    from dbot.analyse.figures import Panel, draw_distances, draw_shares

    panels = []
    for row in dict.fromkeys(line.network.row for line in lines):
        by_stage = {line.network.stage: line for line in lines if line.network.row == row}
        students = [stage for stage, line in by_stage.items() if stage > 0 and line.properties is not None]
        zeroth = by_stage[0].properties if 0 in by_stage else None
        if students or zeroth is not None:
            stage = max(students, default=max(by_stage))
            panels.append(Panel(row, stage, zeroth, by_stage[stage].properties))
    if not panels:
        raise UserError("no network was analysed at this scale yet; run `snakemake properties`")
    stems = [folder / name for name in FIGURES]
    for drawn, stem in zip((draw_distances, draw_shares), stems, strict=True):
        drawn(panels, stem)
    return [stem.with_name(f"{stem.name}.svg") for stem in stems]


def inlined(lines: Sequence[Analysed]) -> dict[str, str]:
    """By what they show, the two figures as addresses that hold them; none where nothing was analysed.

    As images of their own they can't clash with each other's names, or with the page's.
    """
    if all(line.properties is None for line in lines):
        return {}
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
        if line.properties is None or line.found is None or line.found.receipt is None:
            continue
        network, end = line.network, (line.found.receipt.id[:12], plan.scale, plan.resolved.params.uses.cls)
        for name, grid, first in (("attention_distance", line.properties.distances, 0), ("singular_share", line.properties.shares, 1)):
            for layer, values in enumerate(grid):
                writer.writerows(
                    (network.row, network.stage, network.title, name, layer, number, value, *end)
                    for number, value in enumerate(values, start=first)
                )
    return out.getvalue()
