"""Forecasts of a plan: chains, time limits, money, and what was measured beside them."""

from pathlib import Path

import pytest

from dbot.forecast.calibration import Basis
from dbot.forecast.forecast import HOUR, Forecast, forecast
from dbot.lineage import executions
from dbot.lineage.judge import Judge
from dbot.params.load import load
from dbot.plan import Job, Plan
from tests.fakes import FakeProject, sealed_anew
from tests.params_text import params_text

PEAKS = "    cpu: # processors differ too much for a guess: calibrate\n      title: CPU\n"
KNOWN = PEAKS + "      peak_tflops: {bf16: 0.05, fp16: 0.05, fp32: 0.05}\n      share: {any: 0.5}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeProject:
    monkeypatch.chdir(tmp_path)
    found = FakeProject(tmp_path)
    found.set(PEAKS, KNOWN)
    return found


def run(project: FakeProject, job: Job, seconds: float) -> None:
    """Fake a job and all before it, as if it had taken so long."""
    project.run_chain(job)
    execution = Judge().of(job).execution
    assert execution is not None
    attempts = [execution.attempts[-1].model_copy(update={"seconds": seconds})]
    executions.write(sealed_anew(execution, attempts=attempts, device_hours=seconds / HOUR), job.receipt)


def one(found: Forecast, job: Job):
    return next(each for each in found.jobs if each.job.name == job.name)


def paper(tmp_path: Path, *changes: tuple[str, str]) -> Forecast:
    text = params_text()
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    (tmp_path / "params.yaml").write_text(text)
    return forecast(Plan(load(tmp_path / "params.yaml", "paper")))


def test_the_paper_is_forecast_by_assumption_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = paper(tmp_path)
    assert found.total.known_from == [Basis.ASSUMED, Basis.UNKNOWN]
    assert {each.job.verb for each in found.total.unknown} == {"prepare"}
    assert {row.name for row in found.rows} >= set(found.plan.params.build.rows)
    assert sum(rule.flops for rule in found.rules) == pytest.approx(found.total.flops)
    of_rows = sum(row.hours or 0 for row in found.rows)
    assert of_rows == pytest.approx(found.total.hours)  # only jobs of data sets carry no row, and they have no time
    assert found.money(found.total.hours) is None
    assert found.energy(1.0) == pytest.approx(0.7)


def test_a_chain_waits_for_all_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = paper(tmp_path)
    plan = found.plan
    jobs = [
        plan.distill("H-H", 1),
        plan.distill("H-H", 2),
        plan.finetune("H-H", 0),
        plan.finetune("H448-H", 0),
        plan.evaluate("H448-H", "cls", 0),
    ]
    expected = sum(one(found, job).seconds for job in jobs)
    assert found.chain([one(found, jobs[-1])]) == pytest.approx(expected)
    assert found.wall >= expected


def test_few_devices_take_longer_than_the_longest_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = paper(tmp_path, ("  devices: null # how many", "  devices: 64 # how many"))
    assert found.wall == pytest.approx(found.total.hours * HOUR / 64)
    assert found.wall > found.chain(found.jobs)


def test_a_price_makes_money_of_hours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    old = "      price: null # of an hour of one device, as 2.5 with currency: EUR\n      currency: null\n"
    found = paper(tmp_path, (old, "      price: 2.5\n      currency: EUR\n"))
    assert found.money(found.total.hours) == pytest.approx(2.5 * found.total.hours)


def test_a_job_longer_than_its_limit_takes_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = paper(tmp_path)
    for each in found.jobs:
        if each.seconds is not None:
            assert each.allocations is not None
            assert (each.allocations - 1) * each.limit_minutes * 60 < each.seconds <= each.allocations * each.limit_minutes * 60


def test_a_rule_that_took_twice_as_long_takes_twice_as_long_again(project: FakeProject) -> None:
    plan = project.plan
    before = forecast(plan)
    first, other, fine = plan.distill("B-B", 1), plan.distill("L-L", 1), plan.finetune("B-B", 0)
    run(project, first, 2 * one(before, first).forecast)
    found = forecast(plan)
    assert one(found, first).known_from is Basis.MEASURED
    assert one(found, first).hours == pytest.approx(2 * one(before, first).hours, rel=1e-3)
    assert one(found, other).known_from is Basis.CORRECTED
    assert one(found, other).seconds == pytest.approx(2 * one(before, other).seconds, rel=1e-3)
    assert one(found, fine).known_from is Basis.ASSUMED  # of another rule
    (distill,) = [rule for rule in found.rules if rule.name == "distill"]
    assert distill.ratio == pytest.approx(2, rel=1e-3)
    assert distill.done == 1
    assert distill.hours == pytest.approx(distill.actual_hours + distill.left_hours)
    assert first.name not in {each.job.name for each in found.unfinished.jobs}


def test_without_any_rate_what_ran_tells_what_is_left(project: FakeProject) -> None:
    project.set(KNOWN, PEAKS)
    plan = project.plan
    assert forecast(plan).total.hours is None
    first, second = plan.distill("B-B", 1), plan.distill("B-B", 2)
    run(project, first, 100.0)
    found = forecast(plan)
    per_flop = 100 / one(found, first).work.flops
    assert one(found, second).seconds == pytest.approx(per_flop * one(found, second).work.flops)
    assert one(found, second).known_from is Basis.CORRECTED
    assert one(found, plan.finetune("B-B", 0)).seconds is None


def test_a_stale_receipt_is_no_actual(project: FakeProject) -> None:
    plan = project.plan
    run(project, plan.distill("B-B", 1), 100.0)
    project.set(
        "            epochs: 7\n            warmup_epochs: 1\n            batch_size: 16\n            decoder:",
        "            epochs: 11\n            warmup_epochs: 1\n            batch_size: 32\n            decoder:",
    )
    assert not one(forecast(project.plan), plan.distill("B-B", 1)).done


def test_the_jobs_asked_for_and_what_they_need(project: FakeProject) -> None:
    plan = project.plan
    job = plan.finetune("B-B", 0)
    assert [each.job for each in forecast(plan, [job]).jobs] == plan.jobs([job])


def test_jobs_that_were_not_asked_for_correct_those_that_were(project: FakeProject) -> None:
    plan = project.plan
    ran, other = plan.distill("B-B", 1), plan.distill("L-L", 1)
    run(project, ran, 100.0)
    assert one(forecast(plan, [other]), other).known_from is Basis.CORRECTED


def test_what_has_run_is_left_once_more_and_takes_what_it_took(project: FakeProject) -> None:
    plan = project.plan
    job = plan.distill("B-B", 1)
    run(project, job, 7200.0)
    once, again = forecast(plan, [job]), forecast(plan, [job], again=True)
    assert (once.total.done, once.total.left_hours, len(once.unfinished.jobs)) == (len(plan.jobs([job])), 0.0, 0)
    assert (again.total.done, len(again.unfinished.jobs)) == (0, len(plan.jobs([job])))
    assert again.total.left_hours == again.total.hours == once.total.hours >= 2
    assert one(again, job).known_from is Basis.MEASURED
    whole = forecast(plan, again=True)
    assert whole.total.left_hours == pytest.approx(forecast(plan).total.hours)
