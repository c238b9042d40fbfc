"""What a cluster is asked before anything is submitted, and what follows from its answers."""

import json
from datetime import datetime

import pytest

from dbot import cli
from dbot.base.errors import UserError
from dbot.cluster import checks
from dbot.cluster.limits import demands
from dbot.cluster.profile import Profile, read_profile
from dbot.plan import Plan
from tests.cluster.clusters import asker, both, cluster, config, lines, only, recorded, site
from tests.conftest import PROJECT


@pytest.fixture(autouse=True)
def commands_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")


def test_commands_that_are_missing_are_named() -> None:
    found = checks.check_commands(lambda name: None if name in ("srun", "sacct") else name)
    assert [each.level for each in found] == ["wrong", "warn"]
    assert "srun is not on the PATH" in found[0].what
    assert "sacct is not" in found[1].what


@both
def test_a_controller_that_answers_is_named_by_its_version(version: str) -> None:
    said = only(checks.check_controller(recorded(version, "version"), recorded(version, "ping")))
    assert said.startswith(f"ok    controller: that of Slurm {version}.")


@pytest.mark.parametrize("ping", [None, "Slurmctld(primary) at login is DOWN"])
def test_a_controller_that_is_down_is_wrong(ping: str | None) -> None:
    assert only(checks.check_controller("slurm 23.11.4", ping)).startswith("wrong controller: that of Slurm 23.11.4 does not answer: ")


def test_a_slurm_older_than_any_that_was_tried_is_said() -> None:
    found = checks.check_controller("slurm 20.02.7", "Slurmctld(primary) at login is UP")
    assert [each.level for each in found] == ["ok", "warn"]


@both
def test_ends_that_are_remembered_long_enough_are_well(version: str) -> None:
    said = only(checks.check_job_age(config(version), Profile(), True, lambda: False))
    assert said == "ok    ends of jobs: Slurm remembers them for 600 s (MinJobAge)"


@pytest.mark.parametrize(("age", "level"), [("200 sec", "wrong"), ("201 sec", "ok"), ("300 sec", "ok"), ("0 sec", "ok"), ("", "?")])
def test_how_long_ends_must_be_remembered(age: str, level: str) -> None:
    (found,) = checks.check_job_age(config(MinJobAge=age), Profile(), False, lambda: False)
    assert found.level == level


def test_the_remedy_for_short_memory_is_sacct_where_it_answers() -> None:
    profile, short = Profile(), config(MinJobAge="60 sec")
    said = only(checks.check_job_age(short, profile, True, lambda: True))
    assert said.startswith("wrong MinJobAge is 60 s, but ")
    assert said.endswith("write `slurm-dbot-status-command: sacct` in workflow/profiles/slurm/config.yaml, for sacct answers here")
    assert "MinJobAge=600" in only(checks.check_job_age(short, profile, True, lambda: False))


@pytest.mark.parametrize(("answers_", "level"), [(True, "ok"), (False, "wrong")])
def test_with_sacct_it_has_to_answer(answers_: bool, level: str) -> None:
    (found,) = checks.check_job_age(config(MinJobAge="2 sec"), Profile(status_command="sacct"), True, lambda: answers_)
    assert found.level == level


@both
def test_a_default_partition_serves_where_site_names_none(version: str, plan: Plan) -> None:
    said = only(checks.check_partitions(cluster(version), site(), demands(plan, plan.jobs(), {})))
    assert said == "ok    partition work: is up, for jobs without GPUs and jobs with GPUs"


def test_partitions_that_do_not_exist_or_take_nothing_are_wrong(plan: Plan) -> None:
    asked = demands(plan, plan.jobs(), {})
    found = checks.check_partitions(cluster(low={"state": "DRAIN"}), site(partition={"cpu": "closed", "gpu": "gpu,low"}), asked)
    assert [each.level for each in found] == ["warn", "wrong", "wrong"]
    assert "partition closed: is down" in found[0].what
    assert found[1].what == "partition gpu, which site.yaml names for jobs with GPUs, does not exist"
    assert "work, short, low" in str(found[1].remedy)
    assert "takes no jobs (its state is DRAIN)" in found[2].what


def test_without_a_default_the_line_to_write_is_said(plan: Plan) -> None:
    found = checks.check_partitions(cluster(work={"is_default": False}), site(partition={"cpu": "cpu"}), demands(plan, plan.jobs(), {}))
    assert lines(found) == ["partitions: site.yaml names none for jobs with GPUs, and this cluster has no default"]
    assert "write `partition: {gpu: NAME}` in site.yaml" in str(found[0])


def test_the_types_of_gpu_are_listed(plan: Plan) -> None:
    asked = demands(plan, plan.jobs(), {})
    assert only(checks.check_gpus(cluster(), site(), config(), asked)) == "ok    GPUs: partition work has h100 (8 on a node)"
    said = only(checks.check_gpus(cluster(), site(partition={"gpu": "mixed"}), config(), asked))
    assert said.startswith("warn  GPUs: partition mixed has several types, of which a job may get any: h100 (8 on a node), ")
    assert said.endswith("as `gpu_model: h100`; one with a hyphen needs `gpu_request: gpus-per-node` beside it")


def test_a_slurm_that_only_knows_gres_is_said(plan: Plan) -> None:
    asked = demands(plan, plan.jobs(), {})
    found = checks.check_gpus(cluster(), site(), config(SelectType="select/linear"), asked)
    assert str(found[0]) == "wrong GPUs: this Slurm (select/linear) takes no --gpus: write `gpu_request: gres` in site.yaml"
    assert not lines(checks.check_gpus(cluster(), site(gpu_request="gres"), config(SelectType="select/linear"), asked))


def test_scratch_has_to_be_made_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "/local/me")
    monkeypatch.delenv("THERE", raising=False)
    levels = {named: checks.check_scratch(site(scratch=named))[0].level for named in ("$HERE", "$THERE/x", "data")}
    assert levels == {"$HERE": "ok", "$THERE/x": "warn", "data": "wrong"}


@both
def test_clocks_are_compared(version: str) -> None:
    then = datetime.fromisoformat(config(version)["as of"]).timestamp()
    assert checks.check_clock(config(version), then + 2)[0].level == "ok"
    said = only(checks.check_clock(config(version), then + 90))
    assert said.startswith("warn  clock: this machine's is 90 s away from that of Slurm's controller")
    assert checks.check_clock({}, then)[0].level == "?"


@both
def test_before_submission_asks_little(version: str, small: Plan) -> None:
    ask = asker(version)
    found = checks.before_submission(small, site(), ask=ask)
    assert not lines(found)
    assert len(ask.asked) == 3  # type: ignore[attr-defined]


def test_before_submission_looks_at_the_jobs_that_would_run(plan: Plan) -> None:
    jobs = [job for job in plan.jobs() if job.verb == "probe"]
    assert lines(checks.before_submission(plan, site(), ask=asker("24.11")))
    assert not lines(checks.before_submission(plan, site(), jobs, ask=asker("24.11")))


def test_before_submission_stops_nobody_where_slurm_does_not_answer(plan: Plan) -> None:
    for silent in ({"config": None}, {"partitions": None}):
        found = checks.before_submission(plan, site(), ask=asker("24.11", **silent))
        assert not lines(found)
        assert found[-1].level == "?"


@both
def test_everything_has_a_line_for_each_check(version: str, small: Plan) -> None:
    found = checks.everything(small, site(), Profile(), ask=asker(version))
    said = [each.what.split(":")[0].split(" ")[0] for each in found if each.level == "ok"]
    assert said == ["commands", "controller", "ends", "partition", "limits", "GPUs", "accounts", "preemption", "scratch"]
    assert [each.what.split(":")[0] for each in found if each.level != "ok"] == ["clock"]  # it was recorded some time ago


def test_a_controller_that_does_not_answer_is_asked_nothing_more(small: Plan) -> None:
    ask = asker("24.11", ping=None)
    found = checks.everything(small, site(), Profile(), ask=ask)
    assert [each.level for each in found] == ["ok", "wrong", "?", "ok"]
    assert len(ask.asked) == 2  # type: ignore[attr-defined]


def test_the_verb_prints_lines_and_ends_with_2_when_something_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(PROJECT)
    monkeypatch.setattr("dbot.commands.cluster.load_site", lambda: site())
    monkeypatch.setattr("dbot.cluster.slurm.ask", lambda *command, **_: asker("24.11")(*command))
    with pytest.raises(SystemExit) as ended:
        cli.main(["cluster"])
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.err == ""
    assert all(line.startswith(("ok    ", "warn  ", "wrong ", "?     ")) for line in printed.out.splitlines())
    assert cli.main(["cluster", "--scale", "demo", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["scale"], document["findings"][0]["level"]) == ("demo", "ok")


def test_profiles_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    assert read_profile("slurm") == Profile(scale="paper")
    assert read_profile("slurm-preemptible").minutes["distill"] == 240
    with pytest.raises(UserError, match=r"there is no workflow/profiles/slurmy/config.yaml; profiles are: default, demo"):
        read_profile("slurmy")
    with pytest.raises(UserError, match="this profile submits nothing to Slurm"):
        read_profile("demo")
