"""How like students of different teachers are: CKA of pairs of rows, with the pictures that their jobs drew."""

import base64
from dataclasses import dataclass

from dbot.base.errors import UserError
from dbot.jobs.compare import SIMILARITY
from dbot.lineage import receipt as receipts
from dbot.lineage.judge import Judge, Standing
from dbot.plan import Plan


@dataclass(frozen=True)
class Pair:
    """Two rows' students."""

    row: str
    other: str
    found: Standing
    picture: str
    """The shades of all pairs of layers, a PNG in base64; empty where there is none to trust."""

    @property
    def last_layer(self) -> float | None:
        """CKA of the last layers, 0 to 1."""
        if self.found.receipt is None or not self.found.state.holds:
            return None
        value = self.found.receipt.results.get("cka_last_layer")
        return float(value) if isinstance(value, int | float) else None


def build(plan: Plan, judge: Judge) -> list[Pair]:
    """The pairs of a scale as the receipts now have them."""
    return [
        Pair(job.key["row"], job.key["other"], found := judge.of(job), _picture(found)) for job in plan.comparisons(plan.params.table_rows)
    ]


def _picture(found: Standing) -> str:
    name = SIMILARITY[-1]
    if found.receipt is None or not found.state.holds:
        return ""
    try:
        path = receipts.verified(found.path.parent, name, found.receipt.artifacts[name])
    except (UserError, KeyError):
        return ""
    return base64.b64encode(path.read_bytes()).decode()
