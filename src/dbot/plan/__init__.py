"""What there is to do: the jobs that a target needs, made from what their kinds declare.

Snakemake's rules, the command line, dvc.yaml, `dbot adopt` and the table all ask here, so they can't disagree.
"""

from dbot.jobs.evaluate import DENSE as DENSE_KINDS
from dbot.jobs.kind import METRICS, MODEL, RECEIPT, RESULTS, Job
from dbot.jobs.registry import kinds
from dbot.plan.plan import Plan

__all__ = ["DENSE", "KEPT", "METRICS", "MODEL", "RECEIPT", "RESULTS", "STUDENT", "Job", "Plan"]

# Until record is merged, which asks for names.
KEPT = tuple(kind.name for kind in kinds().values() if kind.kept)
STUDENT = {kind.name: kind.start for kind in kinds().values() if kind.start is not None and kind.start == kind.exported}
DENSE = {column: kind.name for column, kind in DENSE_KINDS.items()}
