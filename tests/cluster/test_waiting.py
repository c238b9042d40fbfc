"""What Snakemake's executor waits for, and what it gives up with a reason."""

import pytest

from dbot.cluster.slurm import DOUBTFUL_SECONDS, GONE_SECONDS, Verdict, Waiting


def after(state: str, reason: str, times: int = 2) -> Verdict:
    waiting = Waiting()
    return [waiting.judge("1", {"1": (state, reason)}) for _ in range(times)][-1]


@pytest.mark.parametrize(
    "reason", ["Resources", "Priority", "BeginTime", "ReqNodeNotAvail, UnavailableNodes:n1", "QOSGrpNodeLimit", "None"]
)
def test_what_can_still_come_is_waited_for(reason: str) -> None:
    assert after("PENDING", reason, 100) is Verdict.WAIT


@pytest.mark.parametrize(
    "reason",
    [
        *("PartitionTimeLimit", "QOSMaxWallDurationPerJobLimit", "AssocMaxWallDurationPerJobLimit"),
        *("InvalidAccount", "InvalidQOS", "AccountNotAllowed", "QOSMaxGRESPerJob", "AssocMaxNodePerJobLimit"),
        *("QOSMinGRES", "DependencyNeverSatisfied", "MaxMemoryPerJob"),
    ],
)
def test_what_can_never_come_is_given_up_when_it_is_seen_twice(reason: str) -> None:
    assert after("PENDING", reason, 1) is Verdict.WAIT
    assert after("PENDING", reason, 2) is Verdict.NEVER


@pytest.mark.parametrize("reason", ["QOSMaxJobsPerUserLimit", "AssocMaxJobsLimit", "QOSMaxCpuPerUserLimit", "MaxSubmitJobsPerAccount"])
def test_limits_that_others_jobs_fill_are_waited_for(reason: str) -> None:
    assert after("PENDING", reason, 100) is Verdict.WAIT


@pytest.mark.parametrize("reason", ["PartitionNodeLimit", "PartitionConfig", "BadConstraints"])
def test_what_slurm_says_of_drained_nodes_too_is_given_up_only_after_hours(reason: str) -> None:
    waiting, answers = Waiting(), {"1": ("PENDING", reason)}
    assert waiting.judge("1", answers, now=0) is Verdict.WAIT
    assert waiting.judge("1", answers, now=DOUBTFUL_SECONDS - 1) is Verdict.WAIT
    assert waiting.judge("1", answers, now=DOUBTFUL_SECONDS) is Verdict.NEVER


def test_a_limit_that_others_fill_is_no_reason_to_cancel() -> None:
    assert after("PENDING", "QOSResourceLimit", 100) is Verdict.WAIT


def test_a_job_that_was_taken_off_its_nodes_goes_back_unless_slurm_does_it() -> None:
    waiting = Waiting()
    assert waiting.judge("1", {"1": ("PREEMPTED", "None")}) is Verdict.WAIT
    assert waiting.judge("1", {"1": ("PENDING", "BeginTime")}) is Verdict.WAIT
    assert waiting.judge("1", {"1": ("PREEMPTED", "None")}) is Verdict.WAIT
    assert waiting.judge("1", {"1": ("PREEMPTED", "None")}) is Verdict.REQUEUE


def test_a_held_job_is_told_of_once() -> None:
    waiting = Waiting()
    found = [waiting.judge("1", {"1": ("PENDING", "JobHeldUser")}) for _ in range(5)]
    assert found == [Verdict.HELD, *[Verdict.WAIT] * 4]


def test_a_job_that_slurm_has_forgotten_is_gone_after_a_while() -> None:
    waiting = Waiting()
    assert waiting.judge("1", {}, now=0) is Verdict.WAIT
    assert waiting.judge("1", {}, now=GONE_SECONDS - 1) is Verdict.WAIT
    assert waiting.judge("1", {"1": ("RUNNING", "None")}, now=GONE_SECONDS) is Verdict.WAIT
    assert waiting.judge("1", {}, now=GONE_SECONDS + 1) is Verdict.WAIT
    assert waiting.judge("1", {}, now=2 * GONE_SECONDS + 1) is Verdict.GONE
