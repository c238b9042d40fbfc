"""What Slurm prints, as Python has it."""

import math

import pytest

from dbot.cluster import answers
from tests.cluster.clusters import both, cluster, recorded


@both
def test_partitions_are_read(version: str) -> None:
    found = cluster(version).partitions
    assert next(iter(found)) == "work"
    assert (found["work"].is_default, found["short"].is_default) == (True, False)
    assert [found[name].minutes for name in ("short", "work", "mixed", "cpu")] == [1, 720, 2880, math.inf]
    assert (found["mixed"].nodes, found["mixed"].total, found["empty"].total) == (2, 4, 0)
    assert (found["closed"].state, found["mixed"].preempt, found["mixed"].grace, found["high"].tier) == ("DOWN", "CANCEL", 60, 10)


@both
def test_nodes_are_read(version: str) -> None:
    found = {node.name: node for node in cluster(version).nodes}
    assert found["n1"].gpus == {"h100": 8}
    assert found["x1"].gpus == {"a100_80": 4, "a100-40": 2}
    assert found["c1"].gpus == {}
    assert (found["n1"].cpus, found["n1"].memory_mb, found["n1"].features) == (96, 515000, {"nvlink"})
    assert found["c1"].partitions == {"cpu", "closed"}
    assert [found[name].usable for name in ("n1", "x1")] == [True, False]


@pytest.mark.parametrize(
    ("gres", "gpus"),
    [
        ("gpu:8", {"": 8}),
        ("gpu:h100:8(S:0-1)", {"h100": 8}),
        ("gpu:a100:4(S:0,2),gpu:1g.10gb:14(S:0),shard:32,tmp:1T", {"a100": 4, "1g.10gb": 14}),
        ("gpu:a100:2,gpu:a100:2", {"a100": 4}),
        ("gpu", {"": 1}),
        ("(null)", {}),
    ],
)
def test_gpus_are_counted_by_type(gres: str, gpus: dict[str, int]) -> None:
    assert answers.nodes(f"NodeName=a Gres={gres} State=IDLE")[0].gpus == gpus


def test_what_somebody_wrote_about_a_node_is_not_read_as_its_state() -> None:
    found = answers.nodes("NodeName=a CPUTot=8 RealMemory=100 MemSpecLimit=10 State=IDLE+DRAIN Reason=was State=IDLE Gres=gpu:9 [root]")[0]
    assert (found.state, found.usable, found.gpus, found.cpus, found.memory_mb) == ("IDLE+DRAIN", False, {}, 8, 90)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("2-00:00:00", 2880), ("12:00:00", 720), ("01:30", 1.5), ("UNLIMITED", math.inf), ("", math.inf), ("NONE", math.inf)],
)
def test_times_are_read_in_minutes(text: str, minutes: float) -> None:
    assert answers.minutes(text) == minutes


def test_qualities_of_service_and_accounts_are_read() -> None:
    found = cluster().qualities["day"]
    assert (found.minutes, found.most, found.preempt, found.grace) == (1440, {"gres/gpu": 16, "node": 2}, "REQUEUE", 30)
    theirs = answers.associations(recorded("24.11", "accounts"), "sandboxnew")
    assert [(each.account, each.is_default, each.partition) for each in theirs] == [
        ("root", True, None),
        ("bio", False, "cpu"),
        ("lab", False, None),
    ]
    assert theirs[2].qos == {"day", "normal"}
    assert answers.associations(recorded("24.11", "accounts"), "another") == []
