"""What becomes of jobs that lose their places to stronger ones, or that run out of main memory."""

import re
from collections.abc import Mapping
from pathlib import Path

from dbot.cluster.answers import Partition
from dbot.cluster.finding import Finding
from dbot.cluster.limits import KINDS, Cluster, Demand, Kind
from dbot.cluster.profile import Profile
from dbot.params.site import Site


def check_preemption(cluster: Cluster, site: Site, config: Mapping[str, str], profile: Profile, asked: list[Demand]) -> list[Finding]:
    """Whether a training can save itself when its place is taken, and may go back into the queue.

    Args:
        cluster: its partitions, nodes and qualities of service.
        site: what site.yaml says.
        config: of Slurm.
        profile: how jobs are submitted.
        asked: what jobs ask for.
    """
    lead = asked[0].plan.params.execution.stop_before_limit_seconds if asked else 0
    found: dict[Finding, None] = {}
    for kind in KINDS:
        if any(demand.kind == kind for demand in asked):
            for name in cluster.queues(site, kind):
                if name in cluster.partitions:
                    found[_fate(*_mode(cluster, site, config, cluster.partitions[name], kind), lead)] = None
    if config.get("JobRequeue") == "0" and profile.requeue:
        found[Finding("ok", "requeueing: is off here unless asked for (JobRequeue=0), and each job asks for it (--requeue)")] = None
    elif config.get("JobRequeue") == "0":
        what = "requeueing: is off here unless asked for (JobRequeue=0), so a training that leaves off can't go back into the queue"
        found[Finding("wrong", what, f"write `{profile.executor}-requeue: true` in {profile.file}")] = None
    return list(found)


def _mode(cluster: Cluster, site: Site, config: Mapping[str, str], queue: Partition, kind: Kind) -> tuple[str, str, int]:
    """Whose jobs these are, what becomes of them when their places are taken, and how many seconds they are left."""
    by = config.get("PreemptType", "").rpartition("/")[2]
    if by == "partition_prio":
        neighbours = {name for node in cluster.nodes_of(queue.name) for name in node.partitions}
        if any(cluster.partitions[name].tier > queue.tier for name in neighbours if name in cluster.partitions):
            return f"partition {queue.name}", queue.preempt, queue.grace
    elif by == "qos":
        quality = getattr(site.qos, kind) or queue.qos or "normal"
        own = cluster.qualities.get(quality)
        if own is not None and any(quality in other.over for other in cluster.qualities.values()):
            return f"qos {quality}", config.get("PreemptMode", "OFF") if own.preempt == "CLUSTER" else own.preempt, own.grace
    return f"partition {queue.name}", "OFF", 0


def _fate(who: str, mode: str, grace: int, lead: float) -> Finding:
    """What that means for a training that needs some seconds to leave off."""
    if "CANCEL" in mode and grace < lead:
        what = f"preemption: jobs of {who} are cancelled for others {grace} s after they are told (GraceTime), less than "
        what += f"execution.stop_before_limit_seconds ({lead:g}): a training that can't write its state by then is not put back"
        remedy = "name another in site.yaml, or ask the administrators for PreemptMode=REQUEUE or a longer GraceTime"
        return Finding("warn", what, remedy)
    if "CANCEL" in mode:
        return Finding("ok", f"preemption: jobs of {who} are cancelled for others, with {grace} s to put themselves back")
    if "REQUEUE" in mode:
        return Finding("ok", f"preemption: jobs of {who} go back into the queue for others, and go on from their last state")
    if "SUSPEND" in mode:
        what = f"preemption: jobs of {who} are suspended for others, and keep main memory and GPU memory meanwhile"
        return Finding("warn", what, "name another in site.yaml if they fail of it")
    return Finding("ok", f"preemption: none takes the places of jobs of {who}")


SAID = re.compile(r"out of memory\? raise .* from ([\d.]+)$")


def out_of_memory(verb: str, memory_gb: float) -> str:
    """The line for whoever reads the log: which key of params.yaml to raise, and from how many GB."""
    return f"out of memory? raise resources.{verb}.any.memory_gb (or that of its size) in params.yaml from {memory_gb:g}"


def memory_for_attempt(memory_gb: float, growth: float, attempt: int, log: Path) -> float:
    """Main memory that an attempt at a job asks for, in GB: more than the last one had, if that ran out of it.

    Args:
        memory_gb: what params.yaml gives it.
        growth: how many times as much the next attempt asks for.
        attempt: 1 for the first in this run of Snakemake.
        log: the job's log, whose last line says how the last attempt ended.
    """
    if attempt == 1:
        return memory_gb
    try:
        lines = log.read_text(errors="replace").split("\n")
    except OSError:
        return memory_gb
    said = SAID.search(next((line for line in reversed(lines) if line.strip()), ""))
    return memory_gb if said is None else max(memory_gb, round(float(said[1]) * growth, 1))
