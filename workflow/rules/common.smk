# What the rules ask: always the plan, never params.yaml itself.
#
# A rule is one verb of `dbot` and states its own shell line, to be read and pasted. `use rule … with` can change anything but that
# line, so rules of different verbs do not derive from one another, however alike they look: what they share is in the functions
# here. The three forms of `evaluate` have one shell line, and do derive.
import os
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

from dbot.base import standby
from dbot.base.errors import UserError
from dbot.cluster.preemption import memory_for_attempt
from dbot.jobs.kind import kinds
from dbot.params.load import DEFAULT_FILE, load
from dbot.params.rows import COLUMNS
from dbot.params.site import load_site
from dbot.plan import RESULTS as ROOT
from dbot.plan import Plan
from dbot.versioning.pointer import refuse_links

try:
    if config.keys() - {"scale"}:
        raise UserError(
            f"--config {' '.join(config.keys() - {'scale'})}: is not a key; it takes scale=NAME, and all else is in {DEFAULT_FILE}"
        )
    PLAN = Plan(load(DEFAULT_FILE, config.get("scale")))
    SITE = load_site()
    refuse_links(ROOT / PLAN.scale)
except UserError as error:
    raise WorkflowError(*error.problems) from None

BEGAN = time.time()
FEW_JOBS = 6  # fewer start sooner by themselves
HELD = []  # the process that stands by, which ends when nobody holds it any more
RESULTS = f"{ROOT}/{PLAN.scale}"
LOGS = f"logs/{PLAN.scale}"
PARAMETERS = [local(str(path)) for path in PLAN.resolved.files]

# A job that is asked to stop ends its step first, and the shell around it waits for that.
BEGIN = ["set -eo pipefail", "trap : TERM"]
if SITE.setup:  # a line that fails ends the job: what it should have loaded would be missing later, with a worse message
    failed = "site.yaml: setup failed at: $BASH_COMMAND"
    BEGIN += [f"trap 'echo \"{failed}\" >&2' ERR", *(line.replace("{", "{{").replace("}", "}}") for line in SITE.setup), "trap - ERR"]
shell.prefix("".join(f"{line}\n" for line in [*BEGIN, "set -u"]))  # -u at the end: modules read variables that are not set


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
    """By role, the receipts that a job reads, and the files beside them: one that is not here is made, or brought, first."""

    def read(wildcards):
        planned = job(verb, wildcards)
        receipts = {role: str(needed.receipt) for role, needed in planned.inputs.items()}
        return receipts | {f"{role}_files": [str(path) for path in planned.reads(role)] for role in receipts}

    return read


def option(role):
    """The flag of an input that only some jobs of a rule have."""
    return lambda wildcards, input: (f"--{role} {input[role]}" if role in input.keys() else "")


def wanted(verb, wildcards):
    """What a job asks of the machine; a rule that is no job of the plan (calibrate) has one answer for all."""
    return PLAN.resources(job(verb, wildcards)) if verb in kinds() else PLAN.asked(verb)


def threads(verb):
    """CPU cores of a job on each of its nodes."""
    return lambda wildcards: wanted(verb, wildcards).threads


def requests(verb):
    """What a rule's jobs ask for besides cores, by the names that Snakemake's executors have for it."""

    def asked(wildcards, attempt):
        machine = wanted(verb, wildcards)
        log = job(verb, wildcards).log if verb in kinds() else Path()
        memory = memory_for_attempt(machine.memory_gb, PLAN.params.execution.memory_growth, attempt, log)
        return {
            "mem_mb": int(memory * 1000),
            "runtime": machine.minutes,
            "nodes": machine.nodes,
            **SITE.requests(machine),
        }

    # Only names that some of these jobs have: a value of theirs, even none, hides that of a profile or command line.
    sizes = [PLAN.asked(verb, size) for size in ("any", *PLAN.params.architectures)]
    names = {"mem_mb", "runtime", "nodes"}.union(*(SITE.requests(size) for size in sizes))
    return {name: lambda wildcards, attempt, name=name: asked(wildcards, attempt).get(name) for name in sorted(names)}


def machine(verb):
    """The same in words, for the plan. (Snakemake takes what depends on resources for no parameter.)"""

    def said(wildcards, resources):
        asked = wanted(verb, wildcards)
        memory = (resources.get("mem_mb") or asked.memory_gb * 1000) / 1000
        kept = PLAN.gpu_memory(job(verb, wildcards)) if verb in kinds() else None
        each = "" if kept is None else f" with some {kept:.0f} GB taken of each"
        return f"{asked.nodes} node(s), {asked.nodes * asked.gpus} GPU(s){each}, {memory:g} GB, {resources.runtime} min"

    return said


def launch(verb):
    """How `dbot` is started: one process a GPU.

    Snakemake takes what depends on resources for no parameter, so another number of GPUs makes no job run again.
    """

    def started(wildcards, resources):
        asked = wanted(verb, wildcards)
        if asked.nodes == 1 and not asked.gpus and "SLURM_JOB_ID" not in os.environ:
            return "dbot"
        memory = resources.get("mem_mb") or asked.memory_gb * 1000
        # Only a job that this workflow has submitted may go back into the queue, not the allocation that somebody runs it in.
        requeue = " --requeue" if workflow.remote_exec else ""
        return f"workflow/launch --nodes {asked.nodes} --gpus {asked.gpus} --threads {asked.threads} --memory-gb {memory / 1000:g}{requeue}"

    return started


def receipts(jobs):
    """Where the receipts of some jobs lie."""
    return [str(each.receipt) for each in jobs]


@cache
def judge():
    """The judge of this start of Snakemake; loaded only here, because every job of a cluster reads these rules."""
    from dbot.lineage.judge import Judge

    return Judge()


def measured(asked, possible):
    """The receipts that a table or page shows: of what was asked for, and of what holds though nobody asked for it."""

    def shown(wildcards):
        names = {each.name for each in asked}
        return receipts([*asked, *(each for each in possible if each.name not in names and judge().of(each).state.holds)])

    return shown


def set_the_times():
    """Have back what DVC's cache has, and set the times of files by what their receipts say: Snakemake plans by these alone."""
    from dbot.lineage.target import jobs_done
    from dbot.lineage.times import set_times
    from dbot.versioning.keep import restore

    jobs = jobs_done(PLAN)
    try:
        for path in restore(judge(), jobs):
            print(f"{path}: restored from DVC's cache", file=sys.stderr)
            judge.cache_clear()
    except UserError as error:  # what could not be had back is made again, where somebody needs it
        print(*error.problems, sep="\n", file=sys.stderr)
    try:
        set_times(PLAN, judge(), jobs)
    except PermissionError as error:
        raise WorkflowError(f"{error.filename}: its time can't be set, as it is another person's; work in a clone of your own") from None


def hand_over():
    """Give what jobs have left to DVC, and to MLflow what it lacks; what goes wrong there takes nothing from the results."""
    for verb in ("record", "sync") if PLAN.params.execution.mlflow else ("record",):
        log = Path(LOGS) / f"{verb}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as stream:
            command = ["dbot", verb, "--scale", PLAN.scale]
            if subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, check=False).returncode:
                reason = log.read_text().strip().splitlines()[-1:]
                print(f"dbot {verb} failed: {' '.join(reason)} (log: {log})", file=sys.stderr)


def stand_by():
    """Have a process load the libraries that jobs on this machine need, for all of them.

    Not where site.yaml's setup or container decides what libraries find as they are loaded.
    """
    if workflow.executor_plugin.name != "local" or SITE.setup or SITE.container or len(list(workflow.dag.needrun_jobs())) < FEW_JOBS:
        return
    path = Path(tempfile.mkdtemp(prefix="dbot-")) / "standby"
    one_thread = dict.fromkeys(standby.THREADS, "1")
    log = Path(LOGS) / "standby.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as stream:
        # In a session of its own: Ctrl-C is for the jobs. It ends when the pipe to it is closed, however this process ends.
        started = subprocess.Popen(
            ["dbot", "standby", str(path)],
            env=os.environ | one_thread,
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    os.environ[standby.ADDRESS] = str(path)
    HELD.append(started)


def refuse_what_the_cluster_cannot_run():
    """End the run with a line for each thing that is wrong, where jobs go to Slurm."""
    if workflow.executor_plugin.name != "slurm-dbot":
        return
    from dbot.cluster.checks import before_submission
    from dbot.cluster.profile import Profile

    minutes = {each.rule.name.split("_")[0]: each.resources.runtime for each in workflow.dag.needrun_jobs()}
    profile = Profile(executor=workflow.executor_plugin.name, status_command=workflow.executor_settings.status_command, minutes=minutes)
    wrong = [finding for finding in before_submission(PLAN, SITE, jobs_of_this_run(), profile) if finding.level == "wrong"]
    if wrong:
        raise WorkflowError(*(f"{finding.what}: {finding.remedy}" for finding in wrong))


def say_what_came_of_it():
    """The table, what to open and what to try next, where the table's page was written in this run."""
    if not any(each.rule.name == "report" for each in workflow.dag.needrun_jobs(exclude_finished=False)):
        return
    from dbot.lineage.judge import Judge
    from dbot.report.table import build
    from dbot.report.terminal import summary

    print("", summary(build(PLAN, Judge())), sep="\n")


def say_why_jobs_failed():
    """A line for each job that has failed in this run, with its log."""
    from dbot.lineage.judge import failures

    print(*failures(jobs_of_this_run(), since=BEGAN), sep="\n", file=sys.stderr)


def jobs_of_this_run():
    """The plan's jobs among those that run. Rules of the dense columns are `evaluate` with more outputs: evaluate_det, evaluate_seg."""
    listed = [(each.rule.name.split("_")[0], each.wildcards) for each in workflow.dag.needrun_jobs(exclude_finished=False)]
    return [job(verb, wildcards) for verb, wildcards in listed if verb in kinds()]


# Not in the Snakemakes that one starts for its jobs, on a cluster's nodes say: they are told what to do.
if workflow.is_main_process:
    set_the_times()
