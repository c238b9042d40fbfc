"""What jobs ask for, against what partitions allow and their nodes have."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from dbot.cluster.answers import Node, Partition, Qos
from dbot.cluster.finding import Finding, listed
from dbot.jobs.kind import kinds
from dbot.params.scales import Resources
from dbot.params.site import Site
from dbot.plan import Job, Plan

Kind = Literal["cpu", "gpu"]
KINDS: tuple[Kind, ...] = ("cpu", "gpu")
JOBS: Mapping[Kind, str] = {"cpu": "jobs without GPUs", "gpu": "jobs with GPUs"}


@dataclass(frozen=True)
class Cluster:
    """What a cluster has."""

    partitions: Mapping[str, Partition]
    nodes: list[Node]
    """Empty where it doesn't show them."""
    qualities: Mapping[str, Qos] = field(default_factory=dict)
    """Empty where it keeps none or wasn't asked."""

    def queues(self, site: Site, kind: Kind) -> list[str]:
        """The partitions that jobs of a kind may wait in: those that site.yaml names, or else the default one."""
        named = getattr(site.partition, kind)
        return named.split(",") if named else [each.name for each in self.partitions.values() if each.is_default]

    def nodes_of(self, partition: str, constraint: str | None = None) -> list[Node]:
        """Nodes of a partition, as far as they have the features that a constraint asks for."""
        return [node for node in self.nodes if partition in node.partitions and _meets(node, constraint)]


@dataclass(frozen=True)
class Demand:
    """What the jobs of a rule and a size ask for, and where that was written."""

    plan: Plan
    verb: str
    architecture: str
    minutes: int | None
    """What the profile sets instead of params.yaml."""

    @property
    def wanted(self) -> Resources:
        asked = self.plan.asked(self.verb, self.architecture)
        return asked if self.minutes is None else asked.model_copy(update={"minutes": self.minutes})

    @property
    def kind(self) -> Kind:
        return "gpu" if self.wanted.gpus else "cpu"

    def key(self, name: str) -> str:
        """The key that a figure was written at."""
        if name == "minutes" and self.minutes is not None:
            return f"set-resources.{self.verb}.runtime of the profile"
        origin = self.plan.resolved.origin("resources", self.verb, self._size(name), name)
        return origin.key if origin is not None else f"resources.{self.verb}.any.{name}"

    def where(self, name: str) -> str:
        """File, and line where there is one."""
        if name == "minutes" and self.minutes is not None:
            return "in the profile"
        origin = self.plan.resolved.origin("resources", self.verb, self._size(name), name)
        return f"in {origin.file}, line {origin.line}" if origin is not None else f"in {self.plan.resolved.file}"

    def _size(self, name: str) -> str:
        own = self.plan.params.resources.get(self.verb, {}).get(self.architecture)
        return self.architecture if own is not None and getattr(own, name) is not None else "any"


@dataclass(frozen=True)
class Obstacle:
    """What keeps jobs from a partition."""

    what: str
    remedy: str
    """What to write instead; empty where only another partition helps."""
    figure: str = ""
    """Which figure of the jobs is too high or low; empty for what no other partition mends."""


def types_of_gpu(nodes: Iterable[Node]) -> dict[str, int]:
    """By type, how many GPUs a node has at most; the most first, and names with hyphens, which take another option, last."""
    most: dict[str, int] = {}
    for node in nodes:
        for kind, count in node.gpus.items():
            most[kind] = max(count, most.get(kind, 0))
    return dict(sorted(most.items(), key=lambda item: ("-" in item[0], -item[1], item[0])))


def types_in_words(types: Mapping[str, int]) -> str:
    """``h100 (8 on a node), a100 (4 on a node)``."""
    return ", ".join(f"{kind or 'some of no named type'} ({count} on a node)" for kind, count in types.items())


def demands(plan: Plan, jobs: Iterable[Job], minutes: Mapping[str, int]) -> list[Demand]:
    """What jobs ask for, once for each rule and size.

    Args:
        plan: of their scale.
        jobs: those that would run.
        minutes: by rule, the time limit that a profile sets instead of params.yaml.
    """
    return [Demand(plan, *each, minutes.get(each[0])) for each in dict.fromkeys((job.verb, job.architecture) for job in jobs)]


def check_limits(cluster: Cluster, site: Site, asked: list[Demand]) -> list[Finding]:
    """Whether the cluster can ever start the jobs. Jobs whose partition doesn't exist are left out.

    Returns:
        one line for each figure that is too high, or one that says that all is well.
    """
    found: dict[Finding, None] = {}
    waiting: dict[str, list[str]] = {}
    placed = set()
    for demand in asked:
        queues = [cluster.partitions[name] for name in cluster.queues(site, demand.kind) if name in cluster.partitions]
        if not queues:
            continue
        tried = {queue.name: obstacles(cluster, site, demand, queue) for queue in queues}
        best = min(tried, key=lambda name: len(tried[name]))
        placed.add(best)
        for each in tried[best]:
            remedies = [each.remedy, _elsewhere(cluster, site, demand, each, len(tried[best]))]
            found[Finding("wrong", each.what, ", or ".join(filter(None, remedies)) or "no partition suits it")] = None
        if not tried[best] and (lack := _lack_of_nodes(cluster, site, demand, queues)) is not None:
            waiting.setdefault(lack, []).append(demand.verb)
    for lack, verbs in waiting.items():
        found[Finding("warn", f"nodes: {listed(list(dict.fromkeys(verbs)))} {lack}", "they wait until more are")] = None
    if not placed:
        return []
    if not cluster.nodes:
        found[Finding("?", "nodes: Slurm shows none, so that GPUs, CPUs and memory could not be compared with what jobs ask for")] = None
    if not any(each.level == "wrong" for each in found):
        where = f"partition{'s' * (len(placed) > 1)} {listed(sorted(placed))}"
        what = f"limits: what the jobs of scale {asked[0].plan.scale} ask for fits {where}"
        return [Finding("ok", what), *found]
    return list(found)


def obstacles(cluster: Cluster, site: Site, demand: Demand, queue: Partition) -> list[Obstacle]:
    """Everything that keeps the jobs of a rule and size from a partition."""
    wanted, nodes = demand.wanted, cluster.nodes_of(queue.name, getattr(site.constraint, demand.kind))
    found = _allowed(cluster, site, demand, queue)
    if not cluster.nodes:
        return found
    alike = [node for node in nodes if node.gpus_of(site.gpu_model) >= (wanted.gpus or 0)]
    own: list[Obstacle] = []
    if not alike:
        own.append(_too_few_gpus(site, demand, queue, nodes))
    else:
        cpus = min(queue.cpus, max(node.cpus for node in alike))
        if (wanted.threads or 1) > cpus:
            has = _has(queue, demand, f"{_count(int(cpus), 'CPU')} at most")
            own.append(_too_much(demand, "threads", has, f"{cpus:g}"))
        memory = min(queue.memory_mb, max(node.memory_mb for node in alike))
        if site.memory and _megabytes(wanted) > memory:
            has = _has(queue, demand, f"{memory / 1000:g} GB at most")
            own.append(_too_much(demand, "memory_gb", has, f"{math.floor(memory / 1000)}"))
    fits = [node for node in alike if _fits(node, site, wanted)]
    if not found and not own and len(fits) < (wanted.nodes or 1):
        machine = f"{_count(wanted.gpus or 0, 'GPU')}, {_count(wanted.threads or 1, 'CPU')} and {wanted.memory_gb:g} GB"
        has = f"partition {queue.name} has {len(fits) or 'none'} of that kind"
        what = f"{demand.verb} asks for {_count(wanted.nodes or 1, 'node')} with {machine} each, {has}"
        own.append(Obstacle(what, f"lower {demand.key('nodes')} or the others {demand.where('nodes')}", "machine"))
    return found + own


def _allowed(cluster: Cluster, site: Site, demand: Demand, queue: Partition) -> list[Obstacle]:
    """What a partition, and a quality of service, don't allow."""
    wanted = demand.wanted
    nodes, minutes = wanted.nodes or 1, wanted.minutes or 0
    found = []
    if minutes > queue.minutes:
        found.append(_too_long(demand, f"partition {queue.name}", queue.minutes))
    if nodes > min(queue.nodes, queue.total):
        verb, most = ("allows", queue.nodes) if queue.nodes < queue.total else ("has", queue.total)
        found.append(_too_much(demand, "nodes", f"partition {queue.name} {verb} {most:g}", f"{most:g}", " (the recipe's batch is kept)"))
    if nodes < queue.fewest:
        what = f"{demand.key('nodes')} is {nodes}, partition {queue.name} takes no job with fewer than {queue.fewest}"
        found.append(Obstacle(what, f"write `nodes: {queue.fewest}` {demand.where('nodes')}", "nodes"))
    for name in dict.fromkeys((queue.qos, getattr(site.qos, demand.kind))):
        quality = cluster.qualities.get(name or "")
        if quality is None:
            continue
        if minutes > quality.minutes:
            found.append(_too_long(demand, f"quality of service {name}", quality.minutes))
        sums = {"node": ("nodes", nodes), "gres/gpu": ("GPUs", nodes * (wanted.gpus or 0)), "cpu": ("CPUs", nodes * (wanted.threads or 1))}
        for kind, (noun, count) in sums.items():
            if count > quality.most.get(kind, math.inf):
                what = f"{demand.verb} asks for {count} {noun} in all, quality of service {name} allows {quality.most[kind]:g}"
                found.append(Obstacle(what, f"lower {demand.key('nodes')} {demand.where('nodes')}", f"qos {kind}"))
    return found


def _too_long(demand: Demand, who: str, most: float) -> Obstacle:
    after = "a training goes on in its next job" if kinds()[demand.verb].trains else f"{demand.verb} keeps no state: all of it has to fit"
    what = f"{demand.key('minutes')} is {demand.wanted.minutes}, {who} allows {most:g}"
    name = "minutes" if demand.minutes is None else "runtime"
    return Obstacle(what, f"write `{name}: {most:.0f}` {demand.where('minutes')} ({after})", "minutes")


def _too_much(demand: Demand, name: str, has: str, at_most: str, after: str = "") -> Obstacle:
    what = f"{demand.key(name)} is {getattr(demand.wanted, name):g}, {has}"
    return Obstacle(what, f"write `{name}: {at_most}` {demand.where(name)}{after}", name)


def _too_few_gpus(site: Site, demand: Demand, queue: Partition, nodes: list[Node]) -> Obstacle:
    most, types = max((node.gpus_of(site.gpu_model) for node in nodes), default=0), types_of_gpu(nodes)
    kind = f" of type {site.gpu_model}" if site.gpu_model else ""
    if not nodes:
        constraint = getattr(site.constraint, demand.kind)
        what = f"partition {queue.name} has no nodes" + (f" with {constraint}, the constraint of site.yaml" if constraint else "")
        return Obstacle(what, "name another constraint in site.yaml" if constraint else "", "gpus")
    if site.gpu_model is not None and types and not most:
        alike = next((name for name in types if name.lower() == site.gpu_model.lower()), next(iter(types)))
        remedy = f"write `gpu_model: {alike}` in site.yaml" if alike else "leave gpu_model out of site.yaml"
        remedy += ", with `gpu_request: gpus-per-node`" if "-" in alike else ""
        what = f"gpu_model in site.yaml is {site.gpu_model}, and partition {queue.name} has {types_in_words(types)}"
        return Obstacle(what, remedy)
    what = f"{demand.key('gpus')} is {demand.wanted.gpus}, the nodes of partition {queue.name} have {f'{most} at most' if most else 'none'}"
    return Obstacle(what + kind, f"write `gpus: {most}` {demand.where('gpus')} (the recipe's batch is kept)" if most else "", "gpus")


def _elsewhere(cluster: Cluster, site: Site, demand: Demand, obstacle: Obstacle, obstacles_here: int) -> str:
    """What to write to have the jobs in another partition, if there is one without this obstacle and with fewer in all."""
    others = {name: obstacles(cluster, site, demand, queue) for name, queue in cluster.partitions.items() if queue.state == "UP"}
    free = [name for name, found in others.items() if obstacle.figure not in {each.figure for each in found}]
    best = min(free, key=lambda name: len(others[name]), default=None)
    if not obstacle.figure or best is None or len(others[best]) >= obstacles_here:
        return ""
    return f"write `partition: {{{demand.kind}: {best}}}` in site.yaml"


def _lack_of_nodes(cluster: Cluster, site: Site, demand: Demand, queues: list[Partition]) -> str | None:
    """What is said of jobs for which enough nodes exist, but too few of them are up."""
    constraint, needed = getattr(site.constraint, demand.kind), demand.wanted.nodes or 1
    fits = {node.name: node for queue in queues for node in cluster.nodes_of(queue.name, constraint) if _fits(node, site, demand.wanted)}
    away = [node for node in fits.values() if not node.usable]
    up = len(fits) - len(away)
    if not away or up >= needed:
        return None
    states = ", ".join(f"{node.name} {node.state}" for node in away[:4]) + (", …" if len(away) > 4 else "")
    return f"jobs need {_count(needed, 'node')}, and {up or 'none'} of the {len(fits)} that would do are up ({states})"


def _fits(node: Node, site: Site, wanted: Resources) -> bool:
    memory = not site.memory or node.memory_mb >= _megabytes(wanted)
    return node.gpus_of(site.gpu_model) >= (wanted.gpus or 0) and node.cpus >= (wanted.threads or 1) and memory


def _has(queue: Partition, demand: Demand, what: str) -> str:
    gpus = demand.wanted.gpus
    kind = f" with {_count(gpus, 'GPU')}" if gpus else ""
    return f"the nodes of partition {queue.name}{kind} have {what}"


def _megabytes(wanted: Resources) -> int:
    """As the workflow asks for memory: Slurm's MB are a little larger."""
    return int((wanted.memory_gb or 0) * 1000)


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _meets(node: Node, constraint: str | None) -> bool:
    """Whether a node has the features of a constraint; what is more than names with `&` or `|` between them is left to Slurm."""
    if not constraint or not re.fullmatch(r"[\w.:-]+(&[\w.:-]+)*|[\w.:-]+(\|[\w.:-]+)*", constraint):
        return True
    return all(name in node.features for name in constraint.split("&")) or any(name in node.features for name in constraint.split("|"))
