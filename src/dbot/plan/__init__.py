"""What there is to do: the jobs that a target needs, made from what their kinds declare.

Snakemake's rules, the command line, the judge, dvc.yaml and the table all ask here, so they can't disagree.
"""

from dbot.jobs.kind import METRICS, MODEL, RECEIPT, RESULTS, Job
from dbot.plan.plan import Plan

__all__ = ["METRICS", "MODEL", "RECEIPT", "RESULTS", "Job", "Plan"]
