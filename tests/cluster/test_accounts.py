"""Who pays for jobs, and whose places others may take."""

from dataclasses import replace

from dbot.cluster import answers
from dbot.cluster.accounts import check_accounts
from dbot.cluster.finding import Finding
from dbot.cluster.limits import Cluster, demands
from dbot.cluster.preemption import check_preemption
from dbot.cluster.profile import Profile
from dbot.params.site import Site
from dbot.plan import Plan
from tests.cluster.clusters import cluster, config, lines, only, recorded, site


def accounts(plan: Plan, ours: Site, theirs: str | None = None, **changed: str) -> list[Finding]:
    listed = answers.associations(recorded("24.11", "accounts") if theirs is None else theirs, "sandboxnew")
    return check_accounts(cluster(), ours, config(**changed), listed, demands(plan, plan.jobs(), {}))


def test_without_accounting_nothing_is_asked(plan: Plan) -> None:
    said = only(check_accounts(cluster("22.05"), site(account="x"), config("22.05"), None, demands(plan, plan.jobs(), {})))
    assert said == "ok    accounts: this Slurm keeps none"


def test_an_account_is_the_users_or_wrong(plan: Plan) -> None:
    assert only(accounts(plan, site(account="lab"))) == "ok    accounts: lab pays for jobs without GPUs and jobs with GPUs"
    assert only(accounts(plan, site())) == "ok    accounts: root pays for jobs without GPUs and jobs with GPUs, by default"
    said = only(accounts(plan, site(account={"cpu": "lab", "gpu": "physics"}))[1:])
    assert said.startswith("wrong account physics, which site.yaml names for jobs with GPUs, is none of yours: ")
    assert said.endswith("yours are: root, bio, lab")


def test_an_account_for_one_partition_is_wrong_in_another(plan: Plan) -> None:
    assert "account bio may be charged in partition cpu alone, and jobs with GPUs go to work" in lines(
        accounts(plan, site(account="bio", partition={"cpu": "cpu"}))
    )


def test_a_user_without_a_default_is_asked_to_name_one(plan: Plan) -> None:
    said = only(accounts(plan, site(), "User|Def Acct|Cluster|Account|Partition|QOS\nme||sandboxnew|lab||normal"))
    assert said.startswith("warn  accounts: site.yaml names none for jobs without GPUs and jobs with GPUs, and you have no default")


def test_a_user_without_any_account_is_told_so_where_they_are_enforced(plan: Plan) -> None:
    heading = "User|Def Acct|Cluster|Account|Partition|QOS"
    assert only(accounts(plan, site(), heading)).startswith("wrong accounts: you have none on this cluster")
    assert only(accounts(plan, site(), heading, AccountingStorageEnforce="none")) == "ok    accounts: none are needed"


def test_a_quality_of_service_has_to_exist_and_be_open(plan: Plan) -> None:
    assert not lines(accounts(plan, site(account="lab", qos="day")))
    assert lines(accounts(plan, site(account="root", qos="day"))) == ["qos day of site.yaml is not open to account root"]
    assert lines(accounts(plan, site(account="lab", qos="night"))) == ["qos night, which site.yaml names, does not exist"]


def test_a_partition_may_refuse_an_account(plan: Plan) -> None:
    assert lines(accounts(plan, site(partition={"cpu": "cpu"}))) == ["partition cpu does not take jobs of account root"]
    assert lines(accounts(plan, site(account="lab", partition={"cpu": "closed"}))) == ["partition closed does not take jobs of account lab"]


def preemption(plan: Plan, ours: Site, found: Cluster | None = None, profile: Profile | None = None, **changed: str) -> list[Finding]:
    jobs = [job for job in plan.jobs() if job.verb == "probe"]
    return check_preemption(found or cluster(), ours, config(**changed), profile or Profile(), demands(plan, jobs, {}))


def test_jobs_that_are_cancelled_sooner_than_they_leave_off_are_a_warning(plan: Plan) -> None:
    said = only(preemption(plan, site(partition="mixed")))
    assert said.startswith("warn  preemption: jobs of partition mixed are cancelled for others 60 s after they are told (GraceTime)")
    assert "stop_before_limit_seconds (180)" in said
    assert preemption(plan, site(partition="mixed"), cluster(mixed={"grace": 180}))[0].level == "ok"


def test_what_else_becomes_of_jobs_whose_place_is_taken(plan: Plan) -> None:
    assert "go back into the queue" in only(preemption(plan, site(partition="low")))
    assert "none takes the places" in only(preemption(plan, site(partition="high")))
    assert "none takes the places" in only(preemption(plan, site(partition="mixed"), PreemptType="preempt/none"))
    assert preemption(plan, site(partition="low"), cluster(low={"preempt": "SUSPEND,GANG"}))[0].level == "warn"


def test_a_quality_of_service_may_take_the_place_of_another(plan: Plan) -> None:
    table = recorded("24.11", "qos") + "\nurgent||||cancel|00:00:00|day"
    found = replace(cluster(), qualities=answers.qualities(table))
    assert "jobs of qos day go back" in only(preemption(plan, site(qos="day"), found, PreemptType="preempt/qos"))
    assert "none takes" in only(preemption(plan, site(), found, PreemptType="preempt/qos"))


def test_where_nothing_is_requeued_by_default_jobs_have_to_ask_for_it(plan: Plan) -> None:
    assert "asks for it (--requeue)" in str(preemption(plan, site(), JobRequeue="0")[1])
    found = preemption(plan, site(), profile=Profile(requeue=False), JobRequeue="0")[1]
    assert (found.level, found.remedy) == ("wrong", "write `slurm-dbot-requeue: true` in workflow/profiles/slurm/config.yaml")
