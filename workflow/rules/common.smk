# What the rules ask: always the plan, never params.yaml itself.
import os
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

from dbot.base.digest import file_digest
from dbot.base.errors import UserError
from dbot.params.load import DEFAULT_FILE, load
from dbot.params.rows import COLUMNS
from dbot.params.site import load_site
from dbot.plan import KEPT
from dbot.plan import RESULTS as ROOT
from dbot.plan import Plan

try:
    if config.keys() - {"scale"}:
        raise UserError(
            f"--config {' '.join(config.keys() - {'scale'})}: is not a key; it takes scale=NAME, and all else is in {DEFAULT_FILE}"
        )
    PLAN = Plan(load(DEFAULT_FILE, config.get("scale")))
    SITE = load_site()
except UserError as error:
    raise WorkflowError(*error.problems) from None

RESULTS = f"{ROOT}/{PLAN.scale}"
LOGS = f"logs/{PLAN.scale}"

# A job that is asked to stop ends its step first, and the shell around it waits for that.
shell.prefix("".join(f"{line}; " for line in ["trap : TERM", *SITE.setup]))

UNITS = {
    "threads": lambda wanted: wanted.threads,
    "mem_mb": lambda wanted: int(wanted.memory_gb * 1000),
    "runtime": lambda wanted: wanted.minutes,
    "nodes": lambda wanted: wanted.nodes,
    "gpu": lambda wanted: wanted.nodes * wanted.gpus,
    # On several nodes the job itself starts its processes on each (`workflow/launch`); the executor must not.
    "tasks": lambda wanted: wanted.nodes if wanted.nodes > 1 else None,
    "mpi": lambda wanted: "srun" if wanted.nodes > 1 else None,
}


wildcard_constraints:
    scale=PLAN.scale,
    dataset="|".join(PLAN.params.datasets),
    released="|".join(PLAN.params.released.files),
    row="|".join(PLAN.params.rows),
    other="|".join(PLAN.params.rows),
    column="|".join(COLUMNS),
    sweep="|".join(PLAN.params.sweeps),
    stage=r"[1-9]\d*",
    seed=r"\d+",


@cache
def job_of(verb, key):
    try:
        return PLAN.job(verb, **dict(key))
    except UserError as error:
        raise WorkflowError(*error.problems) from None


def job(verb, wildcards):
    """The job of a rule for its wildcards."""
    return job_of(verb, tuple((k, v) for k, v in wildcards.items() if k != "scale"))


def inputs(verb):
    """By role, the receipts that a job reads."""
    return lambda wildcards: {role: str(needed.receipt) for role, needed in job(verb, wildcards).inputs.items()}


def settings(verb):
    """The parameters that a job uses: another value makes it run again, and nothing else does."""
    return lambda wildcards: job(verb, wildcards).settings


def option(role):
    """The flag of an input that only some jobs of a rule have."""
    return lambda wildcards, input: (f"--{role} {input[role]}" if role in input.keys() else "")


def asks(verb, what):
    """What a job asks of the machine, in Snakemake's units."""
    return lambda wildcards: UNITS[what](PLAN.resources(job(verb, wildcards)))


def launch(verb):
    """How `dbot` is started: one process a GPU.

    Snakemake takes what depends on resources for no parameter, so another number of GPUs makes no job run again.
    """

    def started(wildcards, resources):
        wanted = PLAN.resources(job(verb, wildcards))
        if wanted.nodes == 1 and wanted.gpus <= 1 and "SLURM_JOB_ID" not in os.environ:
            return "dbot"
        return f"workflow/launch --nodes {wanted.nodes} --gpus {wanted.gpus} --threads {wanted.threads}"

    return started


def receipts(jobs):
    """Where the receipts of some jobs lie."""
    return [str(each.receipt) for each in jobs]


def kept(cells):
    """The marks of the checkpoints behind some cells, once DVC has them."""
    return [str(each.folder / "recorded.json") for each in PLAN.jobs(cells) if each.verb in KEPT]


def small(cells):
    """The receipts behind some cells that come without a checkpoint."""
    return receipts(each for each in PLAN.jobs(cells) if each.verb not in KEPT)


def besides(asked, possible):
    """Of some possible jobs those that ran though nobody asked for them: tables and pages show them as well."""
    wanted = receipts(asked)
    others = [receipt for receipt in receipts(possible) if receipt not in wanted]
    return {receipt: file_digest(Path(receipt)) for receipt in others if Path(receipt).is_file()}


def also_measured(wildcards):
    return besides(PLAN.cells(), PLAN.cells(PLAN.params.table_rows))


def also_transferred(wildcards):
    return besides(PLAN.transfers(), PLAN.transfers(PLAN.params.table_rows))


def also_probed(wildcards):
    return besides(PLAN.probes(), PLAN.probes(PLAN.params.table_rows))


def also_analysed(wildcards):
    return besides(PLAN.analyses(), PLAN.analyses(PLAN.params.table_rows))
