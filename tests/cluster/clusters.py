"""What Slurm 22.05 and 24.11 were recorded to print.

Both had two nodes n1 and n2 with 8 H100 each (partitions work, short, low, high; 12 hours at most), two nodes x1 and x2 with
A100 of two types (with n1 and n2 in partition mixed, whose jobs are cancelled for others) and two without GPUs (partition cpu).
The newer one keeps accounts.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dbot.cluster import answers
from dbot.cluster.finding import Finding
from dbot.cluster.limits import Cluster
from dbot.params.site import Site

VERSIONS = ("22.05", "24.11")
QUESTIONS = {
    ("scontrol", "--version"): "version",
    ("scontrol", "ping"): "ping",
    ("scontrol", "show", "config"): "config",
    ("scontrol", "--all", "--oneliner", "show", "partition"): "partitions",
    ("scontrol", "--all", "--oneliner", "show", "node"): "nodes",
    ("sacctmgr", "--parsable2", "show", "qos"): "qos",
    ("sacctmgr", "--parsable2", "show", "user"): "accounts",
}
both = pytest.mark.parametrize("version", VERSIONS)


def recorded(version: str, name: str) -> str:
    file = Path(__file__).parent / "recorded" / version / f"{name}.txt"
    return file.read_text() if file.exists() else ""


def asker(version: str, **instead: str | None) -> Callable[..., str | None]:
    """Answers as a version of Slurm was recorded to, with some answers replaced."""

    def ask(*command: str) -> str | None:
        asked.append(command)
        name = next((name for question, name in QUESTIONS.items() if command[: len(question)] == question), "")
        return instead[name] if name in instead else recorded(version, name) or None

    asked: list[tuple[str, ...]] = []
    ask.asked = asked  # type: ignore[attr-defined]
    return ask


def cluster(version: str = "24.11", **changed: Any) -> Cluster:
    """What was recorded, with fields of partitions replaced: ``work={"minutes": 60}``."""
    partitions = answers.partitions(recorded(version, "partitions"))
    partitions |= {name: replace(partitions[name], **fields) for name, fields in changed.items()}
    return Cluster(partitions, answers.nodes(recorded(version, "nodes")), answers.qualities(recorded(version, "qos")))


def config(version: str = "24.11", **changed: str) -> Mapping[str, str]:
    return {**answers.configuration(recorded(version, "config")), **changed}


def site(**keys: Any) -> Site:
    return Site.model_validate(keys)


def lines(found: list[Finding], level: str = "wrong") -> list[str]:
    return [each.what for each in found if each.level == level]


def only(found: list[Finding]) -> str:
    assert len(found) == 1, found
    return str(found[0])
