"""What a Slurm cluster is asked before anything is submitted, and what follows from its answers.

Each check takes answers as Slurm's commands print them, or what was made of them, and gives lines to read. Only
`before_submission` and `everything` ask.
"""

import getpass
import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path

from dbot.base.files import filled_in
from dbot.cluster import slurm
from dbot.cluster.accounts import check_accounts
from dbot.cluster.answers import associations, configuration, nodes, partitions, qualities
from dbot.cluster.finding import Finding, listed
from dbot.cluster.limits import JOBS, KINDS, Cluster, Demand, Kind, check_limits, demands, types_in_words, types_of_gpu
from dbot.cluster.preemption import check_preemption
from dbot.cluster.profile import Profile
from dbot.params.site import Site
from dbot.plan import Job, Plan

REQUIRED = ("sbatch", "squeue", "scontrol", "sinfo", "scancel", "srun")
OLDEST = (22, 5)
"""The oldest Slurm that this was tried with."""
LOOKS_APART_SECONDS = 200
"""Snakemake looks for its jobs every 180 s in the end, and its question takes a while to be answered."""
CLOCKS_APART_SECONDS = 60

Ask = Callable[..., str | None]


def _ask(*command: str) -> str | None:
    """Somebody waits for these answers, so the patience is less than that of a job."""
    return slurm.ask(*command, tries=2, timeout=20.0)


def before_submission(
    plan: Plan, site: Site, jobs: Iterable[Job] | None = None, profile: Profile | None = None, ask: Ask = _ask
) -> list[Finding]:
    """What would keep jobs from ever starting, or Snakemake from seeing them end; at most four questions to Slurm.

    Args:
        plan: of the scale.
        site: what site.yaml says.
        jobs: those that would run; default: all that a bare `snakemake` builds.
        profile: what Snakemake was started with; default: what `workflow/profiles/slurm` says when nobody has changed it.
        ask: asks a command of Slurm's; None where it doesn't answer.
    """
    profile = profile or Profile()
    found = check_commands(shutil.which)
    said = ask("scontrol", "show", "config")
    if said is None:
        return [*found, _no_answer("scontrol show config")]
    found += check_job_age(configuration(said), profile, shutil.which("sacct") is not None, lambda: _sacct_answers(ask))
    cluster = _ask_for_cluster(ask)
    if cluster is None:
        return [*found, _no_answer("scontrol show partition")]
    asked = demands(plan, plan.jobs() if jobs is None else jobs, profile.minutes)
    return [*found, *check_partitions(cluster, site, asked), *check_limits(cluster, site, asked)]


def everything(plan: Plan, site: Site, profile: Profile, ask: Ask = _ask) -> list[Finding]:
    """All checks that can be made from here. Where the controller doesn't answer, the others aren't tried.

    Args:
        plan: of the scale.
        site: what site.yaml says.
        profile: what Snakemake would be started with.
        ask: asks a command of Slurm's; None where it doesn't answer.
    """
    found = check_commands(shutil.which)
    found += check_controller(ask("scontrol", "--version"), ask("scontrol", "ping"))
    said = None if any(each.level == "wrong" for each in found) else ask("scontrol", "show", "config")
    now = time.time()
    if said is None:
        return [*found, Finding("?", "everything else: not asked, because that has to work first"), *check_scratch(site)]
    config = configuration(said)
    found += check_job_age(config, profile, shutil.which("sacct") is not None, lambda: _sacct_answers(ask))
    keeps_accounts = not config.get("AccountingStorageType", "").endswith("/none")
    cluster = _ask_for_cluster(ask, with_qualities=keeps_accounts)
    if cluster is None:
        return [*found, _no_answer("scontrol show partition"), *check_clock(config, now), *check_scratch(site)]
    asked = demands(plan, plan.jobs(), profile.minutes)
    theirs = None
    if keeps_accounts:
        columns = "format=User,DefaultAccount,Cluster,Account,Partition,QOS"
        said = ask("sacctmgr", "--parsable2", "show", "user", getpass.getuser(), "withassoc", columns)
        theirs = None if said is None else associations(said, config.get("ClusterName", ""))
    return [
        *found,
        *check_partitions(cluster, site, asked),
        *check_limits(cluster, site, asked),
        *check_gpus(cluster, site, config, asked),
        *check_accounts(cluster, site, config, theirs, asked),
        *check_preemption(cluster, site, config, profile, asked),
        *check_scratch(site),
        *check_clock(config, now),
    ]


def check_commands(which: Callable[[str], str | None]) -> list[Finding]:
    """Whether Slurm's commands are here.

    Args:
        which: finds a command on the PATH.
    """
    missing = [name for name in REQUIRED if which(name) is None]
    found = []
    if missing:
        start = "start this on a login node of the cluster, or put the folder of Slurm's commands on the PATH"
        found.append(Finding("wrong", f"commands: {listed(missing)} {'is' if len(missing) == 1 else 'are'} not on the PATH", start))
    else:
        found.append(Finding("ok", f"commands: {listed(REQUIRED)} are on the PATH"))
    if which("sacct") is None:
        found.append(
            Finding("warn", "sacct is not on the PATH: how jobs have ended is known only as long as Slurm remembers them (MinJobAge)")
        )
    if which("sacctmgr") is None:
        what = "sacctmgr is not on the PATH: account and qos of site.yaml are taken as they are, and sbatch refuses wrong ones"
        found.append(Finding("warn", what))
    return found


def check_controller(version: str | None, ping: str | None) -> list[Finding]:
    """Which Slurm it is (``scontrol --version``), and whether it answers (``scontrol ping``)."""
    number = re.search(r"(\d+)\.(\d+)[.\w]*", version or "")
    name = f"Slurm {number[0]}" if number else "Slurm"
    if ping is None or " is UP" not in ping:
        remedy = "see what `scontrol ping` says; a controller in maintenance comes back by itself"
        return [Finding("wrong", f"controller: that of {name} does not answer", remedy)]
    found = [Finding("ok", f"controller: that of {name} answers")]
    if number and (int(number[1]), int(number[2])) < OLDEST:
        what = f"version: {name} is older than any that this was tried with ({OLDEST[0]}.{OLDEST[1]:02d})"
        found.append(Finding("warn", what, "try one small job first: `dbot cluster --node`"))
    return found


def check_job_age(config: Mapping[str, str], profile: Profile, has_sacct: bool, sacct_answers: Callable[[], bool]) -> list[Finding]:
    """Whether Snakemake can see how a job has ended: squeue shows it for MinJobAge seconds only.

    Args:
        config: of Slurm.
        profile: says whether Snakemake asks squeue or sacct.
        has_sacct: whether that command is here.
        sacct_answers: asks it, where that matters.
    """
    command = profile.status_command or ("sacct" if has_sacct else "squeue")
    if command == "sacct":
        if has_sacct and sacct_answers():
            return [Finding("ok", "ends of jobs: Snakemake asks sacct for them, which answers")]
        what = f"ends of jobs: Snakemake would ask sacct for them ({profile.file}), which does not answer"
        return [Finding("wrong", what, f"write `{profile.executor}-status-command: squeue` in {profile.file}")]
    number = re.match(r"\d+", config.get("MinJobAge", ""))
    if number is None:
        return [Finding("?", "ends of jobs: Slurm does not say how long it remembers them (MinJobAge)")]
    seconds = int(number[0])
    if seconds == 0 or seconds > LOOKS_APART_SECONDS:
        return [Finding("ok", f"ends of jobs: Slurm remembers them {f'for {seconds} s' if seconds else 'for good'} (MinJobAge)")]
    what = f"MinJobAge is {seconds} s, but Snakemake looks up to 180 s apart: it would never see how a job has ended"
    if has_sacct and sacct_answers():
        return [Finding("wrong", what, f"write `{profile.executor}-status-command: sacct` in {profile.file}, for sacct answers here")]
    return [Finding("wrong", what, "ask the administrators for MinJobAge=600 in slurm.conf; there is no accounting to ask instead")]


def check_partitions(cluster: Cluster, site: Site, asked: list[Demand]) -> list[Finding]:
    """Whether the partitions that jobs would wait in exist and take jobs."""
    used: dict[str, list[Kind]] = {}
    found = []
    for kind in KINDS:
        queues = cluster.queues(site, kind)
        wanted = any(demand.kind == kind for demand in asked)
        if not queues and wanted:
            names = ", ".join(cluster.partitions)
            what = f"partitions: site.yaml names none for {JOBS[kind]}, and this cluster has no default"
            found.append(Finding("wrong", what, f"write `partition: {{{kind}: NAME}}` in site.yaml, with one of: {names}"))
        for name in queues:
            if wanted or getattr(site.partition, kind):
                used.setdefault(name, []).append(kind)
    for name, kinds in used.items():
        queue, purpose = cluster.partitions.get(name), " and ".join(JOBS[kind] for kind in kinds)
        if queue is None:
            what = f"partition {name}, which site.yaml names for {purpose}, does not exist"
            found.append(Finding("wrong", what, f"write one of these in site.yaml: {', '.join(cluster.partitions)}"))
        elif queue.state == "UP":
            found.append(Finding("ok", f"partition {name}: is up, for {purpose}"))
        elif queue.state == "DOWN":
            found.append(
                Finding("warn", f"partition {name}: is down, for now", f"its {purpose} wait until it is up; or name another in site.yaml")
            )
        else:
            what = f"partition {name}: takes no jobs (its state is {queue.state})"
            found.append(Finding("wrong", what, f"name another for {purpose} in site.yaml"))
    return found


def check_gpus(cluster: Cluster, site: Site, config: Mapping[str, str], asked: list[Demand]) -> list[Finding]:
    """Which types of GPU the jobs would get, and whether Slurm can be asked for them as site.yaml says."""
    if not any(demand.kind == "gpu" for demand in asked):
        return [Finding("ok", "GPUs: no job of this scale asks for any")]
    found = []
    if not config.get("SelectType", "").endswith("/cons_tres") and site.gpu_request != "gres" and "SelectType" in config:
        what = f"GPUs: this Slurm ({config['SelectType']}) takes no --{site.gpu_request}"
        found.append(Finding("wrong", what, "write `gpu_request: gres` in site.yaml"))
    for name in cluster.queues(site, "gpu"):
        types = types_of_gpu(cluster.nodes_of(name, site.constraint.gpu))
        named = [kind for kind in types if kind]
        if site.gpu_model is None and len(named) > 1:
            what = f"GPUs: partition {name} has several types, of which a job may get any: {types_in_words(types)}"
            remedy = f"name one in site.yaml, as `gpu_model: {named[0]}`"
            if any("-" in kind for kind in named):
                remedy += "; one with a hyphen needs `gpu_request: gpus-per-node` beside it"
            found.append(Finding("warn", what, remedy))
        elif site.gpu_model is None or site.gpu_model in types:
            # What else can be wrong is said among the limits.
            found.append(Finding("ok", f"GPUs: partition {name} has {types_in_words(types) or 'none'}"))
    return found


def check_scratch(site: Site) -> list[Finding]:
    """Whether the folder on the node's own disk is named in a way that can be made out here; the rest shows on a node."""
    if site.scratch is None:
        return [Finding("ok", "scratch: site.yaml names none, so jobs read the data where they lie")]
    place = filled_in(site.scratch)
    if "$" in place:
        what = f"scratch is {site.scratch}, and that variable is not set here"
        return [Finding("warn", what, "see with `dbot cluster --node` whether nodes set it")]
    if not Path(place).is_absolute():
        what = f"scratch is {site.scratch}, which lies in the project's own folder"
        return [Finding("wrong", what, "name a folder of the node's own disk, from / on, in site.yaml")]
    return [Finding("ok", f"scratch: {place}; whether nodes have it, `dbot cluster --node` shows")]


def check_clock(config: Mapping[str, str], now: float) -> list[Finding]:
    """Whether this machine's clock goes as the controller's, by which the end of a job's time is told.

    Args:
        config: of Slurm.
        now: seconds since 1970 when it was asked for.
    """
    try:
        apart = abs(datetime.fromisoformat(config.get("as of", "")).timestamp() - now)
    except ValueError:
        return [Finding("?", "clock: Slurm does not say what time it has")]
    if apart <= CLOCKS_APART_SECONDS:
        return [Finding("ok", "clock: goes as that of Slurm's controller")]
    what = f"clock: this machine's is {apart:.0f} s away from that of Slurm's controller, which ends the jobs"
    return [
        Finding("warn", what, "tell the administrators; where nodes are as far off, raise execution.stop_before_limit_seconds by as much")
    ]


def _ask_for_cluster(ask: Ask, with_qualities: bool = False) -> Cluster | None:
    """Partitions, nodes and, if asked for, qualities of service; None where there is no answer."""
    queues = ask("scontrol", "--all", "--oneliner", "show", "partition")
    if queues is None:
        return None
    machines = ask("scontrol", "--all", "--oneliner", "show", "node")
    columns = "format=Name,MaxWall,MaxTRES,MaxTRESPU,PreemptMode,GraceTime,Preempt"
    limits = ask("sacctmgr", "--parsable2", "show", "qos", columns) if with_qualities else None
    return Cluster(partitions(queues), nodes(machines or ""), qualities(limits or ""))


def _sacct_answers(ask: Ask) -> bool:
    return ask("sacct", "--allocations", "--starttime", "now-1hour") is not None


def _no_answer(command: str) -> Finding:
    return Finding("?", f"`{command}` gives no answer; nothing that depends on it was checked")
