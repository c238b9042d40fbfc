"""Which of several sources a time comes from, and what follows from each."""

from typing import Any

import pytest

from dbot.base.errors import UserError
from dbot.flops import Flops
from dbot.forecast.calibration import Basis, Calibration, Measured, Rates, merged, read, write
from dbot.jobs.work import Pass, Work
from dbot.params.load import load
from dbot.params.scales import HardwareKind
from dbot.plan import Job, Plan
from tests.conftest import PROJECT

WORK = Work(training=Pass(1000, Flops({"bf16": 3e9, "fp32": 1e9})), inference=Pass(200, Flops({"bf16": 1e9})), kind="this")
TOTAL = 1000 * 4e9 + 200 * 1e9
HARDWARE = HardwareKind(title="it", peak_tflops={"bf16": 1.0, "fp32": 0.5}, share={"any": 0.5, "detect": 0.25})


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan(load(PROJECT / "params.yaml", "paper"))


@pytest.fixture
def job(plan: Plan) -> Job:
    return plan.distill("B-B", 1)


def measured(**changes: Any) -> Measured:
    plain = {"kind": "this", "verb": "distill", "job": "distill/B-B/stage1", "device": "it", "date": "", "batch": 8, "processes": 1}
    plain |= {"images_per_second": 50.0, "data_wait": 0.0, "flops_per_image": 4e9, "left_out": [], "peak_memory_gb": None}
    return Measured.model_validate({**plain, **changes})


def test_a_share_of_the_peak_of_each_precision(plan: Plan, job: Job) -> None:
    seconds = Rates(HARDWARE, Calibration()).seconds(job, WORK)
    expected = (1000 * 3e9 + 200 * 1e9) / 0.5e12 + 1000 * 1e9 / 0.25e12
    assert seconds == (pytest.approx(expected), Basis.ASSUMED)
    slower = Rates(HARDWARE, Calibration()).seconds(plan.detect("B-B", 0), WORK)
    assert slower == (pytest.approx(2 * expected), Basis.ASSUMED)


def test_without_a_peak_there_is_no_telling(job: Job) -> None:
    assert Rates(HardwareKind(title="it"), Calibration()).seconds(job, WORK) is None
    assert Rates(HARDWARE.model_copy(update={"peak_tflops": {"bf16": 1.0}}), Calibration()).seconds(job, WORK) is None


def test_a_calibration_takes_precedence_over_a_share(job: Job) -> None:
    rates = Rates(HARDWARE, Calibration(measured=[measured()]))
    assert rates.seconds(job, WORK) == (pytest.approx(TOTAL / (50 * 4e9)), Basis.CALIBRATED)


def test_what_was_not_measured_runs_at_the_median_of_its_rule_or_of_all(plan: Plan, job: Job) -> None:
    others = [measured(kind=str(rate), images_per_second=rate) for rate in (10.0, 20.0, 90.0)]
    rates = Rates(HARDWARE, Calibration(measured=[*others, measured(kind="f", verb="finetune", images_per_second=40.0)]))
    assert rates.seconds(job, WORK) == (pytest.approx(TOTAL / (20 * 4e9)), Basis.CALIBRATED)
    assert rates.seconds(plan.evaluate("B-B", "cls", 0), WORK) == (pytest.approx(TOTAL / (30 * 4e9)), Basis.CALIBRATED)


def test_a_measurement_whose_flops_leave_something_out_counts_images(job: Job) -> None:
    partial = measured(left_out=["teacher x"])
    assert Rates(HARDWARE, Calibration(measured=[partial])).seconds(job, WORK) == (pytest.approx(1050 / 50), Basis.CALIBRATED)
    elsewhere = partial.model_copy(update={"kind": "other"})
    assert Rates(HARDWARE, Calibration(measured=[elsewhere])).seconds(job, WORK) == Rates(HARDWARE, Calibration()).seconds(job, WORK)


def test_what_the_user_says_comes_first(plan: Plan, job: Job) -> None:
    told = HARDWARE.model_copy(update={"images_per_second": {"distill": {"any": 100.0, "L": 10.0}}})
    rates = Rates(told, Calibration(measured=[measured()]))
    assert rates.seconds(job, WORK) == (pytest.approx(10.5), Basis.GIVEN)  # an image forward only is a quarter of one trained
    assert rates.seconds(plan.distill("L-L", 1), WORK) == (pytest.approx(105), Basis.GIVEN)
    assert Rates(told, Calibration()).seconds(plan.finetune("B-B", 0), WORK) is not None


def test_a_job_that_computes_nothing_has_no_time(plan: Plan) -> None:
    assert Rates(HARDWARE, Calibration(measured=[measured()])).seconds(plan.prepare("coco-2017"), Work(images=5)) is None


def test_a_calibration_is_read_as_it_was_written_and_what_is_new_replaces_what_was(tmp_path) -> None:
    path = tmp_path / "calibration.json"
    assert read(path) == Calibration()
    first = merged(Calibration(), [measured(), measured(kind="other")])
    write(first, path)
    assert read(path) == first
    renewed = merged(read(path), [measured(images_per_second=99.0)])
    assert [one.kind for one in renewed.measured] == ["other", "this"]
    assert renewed.measured[1].images_per_second == 99
    path.write_text("{}x")
    with pytest.raises(UserError, match="is not a calibration"):
        read(path)
