"""What jobs ask for, against what recorded clusters have."""

import math
from dataclasses import replace
from typing import Any

import pytest

from dbot.cluster.finding import Finding
from dbot.cluster.limits import Cluster, check_limits, demands
from dbot.cluster.profile import Profile
from dbot.params.site import Site
from dbot.plan import Plan
from tests.cluster.clusters import both, cluster, lines, only, site
from tests.conftest import PROJECT


def limits(plan: Plan, found: Cluster, ours: Site, profile: Profile | None = None, verb: str | None = None) -> list[Finding]:
    jobs = [job for job in plan.jobs() if verb in (None, job.verb)]
    return check_limits(found, ours, demands(plan, jobs, (profile or Profile()).minutes))


@both
def test_jobs_that_fit_are_one_line(version: str, small: Plan) -> None:
    said = only(limits(small, cluster(version), site()))
    assert said == "ok    limits: what the jobs of scale single-gpu ask for fits partition work"


@both
def test_a_figure_that_is_too_high_is_named_with_the_line_to_write(version: str, plan: Plan) -> None:
    found = limits(plan, cluster(version), site())
    origin = plan.resolved.origin("resources", "distill", "any", "minutes")
    assert origin is not None
    assert str(found[0]) == (
        "wrong resources.distill.any.minutes is 1440, partition work allows 720: write `minutes: 720` in "
        f"{PROJECT}/params/resources.yaml, line {origin.line} (a training goes on in its next job), "
        "or write `partition: {gpu: mixed}` in site.yaml"
    )
    assert found[1].what == "resources.distill.any.nodes is 4, partition work has 2"
    assert not any(each.level == "ok" for each in found)
    assert len(found) == len({each.what for each in found})  # once, and not for B, L and H


def test_rules_that_keep_no_state_are_told_that_all_has_to_fit(plan: Plan) -> None:
    found = limits(plan, cluster(work={"minutes": 60.0}), site(), verb="evaluate")
    assert "evaluate keeps no state: all of it has to fit" in only(found)


def test_a_profiles_own_time_limit_counts(plan: Plan) -> None:
    profile = Profile(minutes={"distill": 240})
    assert limits(plan, cluster(work={"total": 4}), site(), profile, "distill")[0].what.startswith("distill asks for 4 nodes with 8 GPUs")
    found = limits(plan, cluster(work={"minutes": 60.0}), site(), profile, "distill")[0]
    assert found.what == "set-resources.distill.runtime of the profile is 240, partition work allows 60"
    assert "write `runtime: 60` in the profile" in str(found.remedy)


@pytest.mark.parametrize(
    ("partition", "what"),
    [
        ({"cpus": 8.0}, "resources.analyse.any.threads is 12, the nodes of partition work with 1 GPU have 8 CPUs at most"),
        ({"memory_mb": 63_900.0}, "resources.analyse.any.memory_gb is 64, the nodes of partition work with 1 GPU have 63.9 GB at most"),
        ({"fewest": 2}, "resources.analyse.any.nodes is 1, partition work takes no job with fewer than 2"),
    ],
)
def test_cpus_memory_and_fewest_nodes(partition: dict[str, Any], what: str, plan: Plan) -> None:
    assert lines(limits(plan, cluster(work=partition), site(), verb="analyse")) == [what]


def test_memory_that_is_not_asked_for_is_not_compared(plan: Plan) -> None:
    assert not lines(limits(plan, cluster(work={"memory_mb": 1000.0}), site(memory=False), verb="analyse"))


def test_nodes_that_each_fall_short_of_something_else_are_counted_together(plan: Plan) -> None:
    one = replace(cluster().nodes[2], gpus={"h100": 8}, cpus=32)
    other = replace(one, name="n2", cpus=96, memory_mb=64_000)
    found = limits(plan, replace(cluster(), nodes=[one, other]), site(), verb="probe")
    assert lines(found) == ["probe asks for 1 node with 8 GPUs, 96 CPUs and 200 GB each, partition work has none of that kind"]


def test_a_partition_without_gpus_says_which_has_them(plan: Plan) -> None:
    found = limits(plan, cluster(), site(partition={"gpu": "cpu"}), verb="probe")
    assert found[0].what == "resources.probe.any.gpus is 8, the nodes of partition cpu have none"
    assert found[0].remedy == "write `partition: {gpu: work}` in site.yaml"


def test_of_several_partitions_one_that_suits_is_enough(plan: Plan) -> None:
    assert not lines(limits(plan, cluster(), site(partition={"gpu": "cpu,work"}), verb="probe"))


def test_a_type_of_gpu_that_is_not_there_is_said_once(plan: Plan) -> None:
    found = [each for each in limits(plan, cluster(), site(partition={"gpu": "mixed"}, gpu_model="H100")) if "gpu_model" in each.what]
    assert only(found) == (
        "wrong gpu_model in site.yaml is H100, and partition mixed has h100 (8 on a node), a100_80 (4 on a node), a100-40 (2 on a node): "
        "write `gpu_model: h100` in site.yaml"
    )


def test_a_constraint_narrows_the_nodes(plan: Plan) -> None:
    def wrong(constraint: str) -> list[str]:
        return lines(limits(plan, cluster(), site(partition={"gpu": "mixed"}, constraint=constraint), verb="probe"))

    assert wrong("nvlink") == wrong("nvlink|old") == wrong("[nvlink*2]") == []
    assert wrong("old") == ["resources.probe.any.gpus is 8, the nodes of partition mixed have 6 at most"]
    assert wrong("nvlink&old") == ["partition mixed has no nodes with nvlink&old, the constraint of site.yaml"]


def test_nodes_that_are_down_are_a_warning(small: Plan) -> None:
    found = limits(small, cluster(), site(partition={"gpu": "mixed"}, gpu_model="a100_80"), verb="distill")
    assert [each.level for each in found] == ["ok", "warn"]
    assert (
        found[1].what
        == "nodes: distill jobs need 1 node, and none of the 2 that would do are up (x1 UNKNOWN+NOT_RESPONDING, x2 UNKNOWN+NOT_RESPONDING)"
    )


def test_a_cluster_that_shows_no_nodes_is_said(small: Plan) -> None:
    assert [each.level for each in limits(small, replace(cluster(), nodes=[]), site())] == ["ok", "?"]


@pytest.mark.parametrize("named", [{"qos": "day"}, {"partition": "other"}])
def test_limits_of_qualities_of_service_count_too(named: dict[str, str], plan: Plan) -> None:
    found = cluster(work={"minutes": math.inf, "total": 9}, cpu={"minutes": math.inf})
    found = replace(found, partitions={**found.partitions, "other": replace(found.partitions["work"], name="other", qos="day")})
    found = replace(found, nodes=[replace(node, partitions=node.partitions | {"other"}) for node in found.nodes])
    said = lines(limits(plan, found, site(**named), verb="segment"))
    assert said == ["resources.segment.any.minutes is 2880, quality of service day allows 1440"]
    assert "distill asks for 32 GPUs in all, quality of service day allows 16" in lines(limits(plan, found, site(**named), verb="distill"))
