"""What there is to do, and what each job of it reads, writes and depends on.

Snakemake's rules, the command line, dvc.yaml, `dbot adopt` and the table all ask here, so they can't disagree.
"""

from dbot.plan.graph import transfer_recipe
from dbot.plan.job import DENSE, GALLERY, KEPT, METRICS, MODEL, RECEIPT, RESULTS, SIMILARITY, STUDENT, Job
from dbot.plan.plan import Plan

__all__ = [
    "DENSE",
    "GALLERY",
    "KEPT",
    "METRICS",
    "MODEL",
    "RECEIPT",
    "RESULTS",
    "SIMILARITY",
    "STUDENT",
    "Job",
    "Plan",
    "transfer_recipe",
]
