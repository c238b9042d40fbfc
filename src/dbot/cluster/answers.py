"""What Slurm's commands print, as Python has it: partitions, nodes, qualities of service, accounts."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dbot.cluster.slurm import fields

UNUSABLE = ("DOWN", "DRAIN", "FAIL", "ERROR", "INVAL", "MAINT", "NOT_RESPONDING", "UNKNOWN", "*")
"""Parts of the state of a node on which nothing starts for now."""


@dataclass(frozen=True)
class Partition:
    """A queue, and what it allows a job."""

    name: str
    state: str
    """``UP``; ``DOWN``: jobs may be submitted and wait; ``DRAIN`` and ``INACTIVE``: none may be submitted."""
    is_default: bool
    minutes: float
    """Longest time of a job; infinite without a limit, as the next three."""
    nodes: float
    """Nodes of a job, at most."""
    cpus: float
    """CPUs of a job on each node, at most."""
    memory_mb: float
    """Memory of a job on each node, at most, in Slurm's MB."""
    fewest: int
    """Nodes of a job, at least."""
    total: int
    """Nodes that it has."""
    preempt: str
    """What becomes of a job whose place is taken: ``OFF`` (it isn't), ``REQUEUE``, ``CANCEL``, ``SUSPEND``, …"""
    grace: int
    """Seconds that such a job is left."""
    tier: int
    """Jobs of a higher one may take the places of those of a lower."""
    qos: str | None
    """Quality of service whose limits hold beside its own."""
    admitted: Mapping[str, str]
    """``AllowAccounts``, ``DenyAccounts``, ``AllowQos``, ``DenyQos``, as far as they say anything but ``ALL``."""


@dataclass(frozen=True)
class Node:
    """A machine."""

    name: str
    state: str
    cpus: int
    memory_mb: int
    """Memory that jobs can have, in Slurm's MB."""
    gpus: Mapping[str, int]
    """By type, how many; the type is empty where the cluster names none."""
    features: frozenset[str]
    partitions: frozenset[str]

    @property
    def usable(self) -> bool:
        """Whether something can start there, now or once it is free."""
        return not any(part in self.state for part in UNUSABLE)

    def gpus_of(self, model: str | None) -> int:
        """GPUs of a type, or of any."""
        return sum(self.gpus.values()) if model is None else self.gpus.get(model, 0)


@dataclass(frozen=True)
class Qos:
    """A quality of service, and what it allows a job."""

    name: str
    minutes: float
    """Longest time of a job; infinite without a limit."""
    most: Mapping[str, float]
    """By ``node``, ``gres/gpu``, ``cpu``: what a job, or all jobs of a user, may have at most."""
    preempt: str
    """As that of a partition, or ``CLUSTER``: what holds for the whole cluster."""
    grace: int
    """Seconds that a job whose place is taken is left."""
    over: frozenset[str]
    """Qualities of service whose jobs' places its own may take."""


@dataclass(frozen=True)
class Association:
    """An account that a user may charge."""

    account: str
    is_default: bool
    partition: str | None
    """The only partition that this holds for."""
    qos: frozenset[str]


def configuration(text: str) -> dict[str, str]:
    """The settings that ``scontrol show config`` lists, by name; ``as of`` is when it was asked, by the controller's clock."""
    found = dict(re.findall(r"^(\w[\w\[\]]*)\s*= ?(.*?)\s*$", text, re.MULTILINE))
    if (when := re.search(r"^Configuration data as of (\S+)", text, re.MULTILINE)) is not None:
        found["as of"] = when[1]
    return found


def partitions(text: str) -> dict[str, Partition]:
    """By name, what ``scontrol --oneliner show partition`` lists."""
    found = {}
    for said in _records(text, "PartitionName"):
        limits = ("AllowAccounts", "DenyAccounts", "AllowQos", "DenyQos")
        found[said["PartitionName"]] = Partition(
            name=said["PartitionName"],
            state=said.get("State", "UP"),
            is_default=said.get("Default") == "YES",
            minutes=minutes(said.get("MaxTime", "")),
            nodes=_number(said.get("MaxNodes", "")),
            cpus=_number(said.get("MaxCPUsPerNode", "")),
            # 0: no limit either.
            memory_mb=_number(said.get("MaxMemPerNode", "")) or math.inf,
            fewest=int(said.get("MinNodes", "0")),
            total=int(said.get("TotalNodes", "0")),
            preempt=said.get("PreemptMode", "OFF"),
            grace=int(said.get("GraceTime", "0")),
            tier=int(said.get("PriorityTier", "1")),
            qos=None if said.get("QoS", "N/A") == "N/A" else said["QoS"],
            admitted={key: said[key] for key in limits if said.get(key, "ALL") not in ("ALL", "(null)", "")},
        )
    return found


def nodes(text: str) -> list[Node]:
    """What ``scontrol --oneliner show node`` lists."""
    return [
        Node(
            name=said["NodeName"],
            state=said.get("State", ""),
            # Slurm before 22.05 tells only the total; some CPUs and memory may be kept for the system.
            cpus=int(said.get("CPUEfctv", said.get("CPUTot", "0"))),
            memory_mb=int(said.get("RealMemory", "0")) - int(said.get("MemSpecLimit", "0")),
            gpus=_gpus(said.get("Gres", "")),
            features=_names(said.get("ActiveFeatures", "")),
            partitions=_names(said.get("Partitions", "")),
        )
        for said in _records(text, "NodeName")
    ]


def qualities(text: str) -> dict[str, Qos]:
    """By name, what ``sacctmgr --parsable2 show qos format=Name,MaxWall,MaxTRES,MaxTRESPU,PreemptMode,GraceTime,Preempt`` lists."""
    found = {}
    for name, wall, job, user, mode, grace, over in _table(text, 7):
        most: dict[str, float] = {}
        for kind, _, count in (each.partition("=") for each in f"{job},{user}".split(",") if each):
            most[kind] = min(_number(count), most.get(kind, math.inf))
        seconds = 0 if math.isinf(minutes(grace)) else round(minutes(grace) * 60)
        found[name] = Qos(name, minutes(wall), most, mode.upper(), seconds, _names(over))
    return found


def associations(text: str, cluster: str) -> list[Association]:
    """What ``sacctmgr --parsable2 show user NAME withassoc format=User,DefaultAccount,Cluster,Account,Partition,QOS`` lists.

    Args:
        text: what it printed.
        cluster: the one that counts, by its name.
    """
    return [
        Association(account, account == default, partition or None, _names(qos))
        for _, default, of, account, partition, qos in _table(text, 6)
        if account and of in (cluster, "")
    ]


def minutes(text: str) -> float:
    """A time of Slurm's (``DAYS-HOURS:MINUTES:SECONDS``, the first parts optional) in minutes; infinite for ``UNLIMITED`` and nothing."""
    if (found := re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)) is None:
        return math.inf
    days, hours, some, seconds = (int(part or 0) for part in found.groups())
    return (days * 24 + hours) * 60 + some + seconds / 60


def _records(text: str, first: str) -> Iterator[dict[str, str]]:
    """A line's pairs; what people wrote about a node comes last, and may look like pairs."""
    for line in text.splitlines():
        if line.startswith(f"{first}="):
            yield fields(re.split(r" (?:Reason|Comment|Extra)=", line)[0])


def _table(text: str, columns: int) -> Iterator[list[str]]:
    """The rows of a table with a heading, as far as they have its columns."""
    for line in text.splitlines()[1:]:
        if len(row := line.split("|")) == columns:
            yield row


def _gpus(gres: str) -> dict[str, int]:
    """``gpu:h100:8(S:0-1),nvme:1``: eight of h100."""
    found: dict[str, int] = {}
    for each in re.sub(r"\([^)]*\)", "", gres).split(","):
        name, *kind, count = each.split(":") if ":" in each else (each, "1")
        if name == "gpu" and count.isdigit():
            found[":".join(kind)] = found.get(":".join(kind), 0) + int(count)
    return found


def _names(text: str) -> frozenset[str]:
    return frozenset(name for name in text.split(",") if name and name != "(null)")


def _number(text: str) -> float:
    """A count; infinite for ``UNLIMITED`` and all else that is none."""
    return float(text) if text.isdigit() else math.inf
