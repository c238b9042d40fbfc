"""How many images a data set has, before anybody has looked at it and after."""

from dbot.base.errors import UserError
from dbot.data.layouts.listing import PARTS, Part
from dbot.jobs.prepare import PREPARE
from dbot.jobs.work import Counts
from dbot.lineage import receipt as receipts
from dbot.plan import Plan


def counts(plan: Plan) -> Counts:
    """What params.yaml expects of every data set or, where it expects nothing, what `dbot prepare` found."""
    return {(name, part): _count(plan, name, part) for name in plan.params.datasets for part in PARTS}


def _count(plan: Plan, name: str, part: Part) -> int | None:
    declared = plan.params.datasets[name]
    expected = getattr(declared, part).count if declared.embedded is None else getattr(declared.embedded, part)
    if expected is None:
        return _found(plan, name, part)
    return int(expected) if declared.limit is None else min(int(expected), declared.limit)


def _found(plan: Plan, name: str, part: Part) -> int | None:
    path = plan.job(PREPARE, name).receipt
    try:
        found = receipts.read(path).results.get(part) if path.exists() else None
    except UserError:
        return None
    return found if isinstance(found, int) else None
