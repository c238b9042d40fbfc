"""The paper's trainings on a GPU that is not there: devices, gradients, waits, float64 and memory."""

from collections.abc import Callable

import pytest
from torch import Tensor

from tests.gpu_rehearsal import planted
from tests.gpu_rehearsal.allowed import DOUBLES, WAITS, strangers
from tests.gpu_rehearsal.cases import CASES, Case
from tests.gpu_rehearsal.peaks import budget, written
from tests.gpu_rehearsal.pretended import why_not
from tests.gpu_rehearsal.trainings import Rehearsals, Seen, Variation

pytestmark = [pytest.mark.rehearsal, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_a_training_of_the_papers_scale(paper_rehearsals: Rehearsals, case: Case) -> None:
    plan = paper_rehearsals.plan
    seen = paper_rehearsals.of(case.job(plan), case.variation)
    assert not seen.without_gradient
    assert not strangers(seen.waits, WAITS)
    assert not strangers(seen.doubles, DOUBLES)
    assert seen.peak < budget(plan), "it takes more memory than the device has; lower batch_per_process or set checkpointing"
    expected = written().get(case.name, seen.peak)
    assert seen.peak == pytest.approx(expected, rel=0.01), "if this is meant, write peaks.json anew (peaks.py says how)"


def _with(fault: Callable[[Tensor], Tensor] | None, rehearsals: Rehearsals, in_loss: bool = False) -> Seen:
    job = rehearsals.plan.job("finetune", row="B-B", seed="0")
    return rehearsals.of(job, Variation(in_loss=fault) if in_loss else Variation(planted=fault))


def test_without_a_fault_there_is_nothing_to_name(demo_rehearsals: Rehearsals) -> None:
    seen = _with(None, demo_rehearsals)
    assert not strangers(seen.waits, WAITS)
    assert not strangers(seen.doubles, DOUBLES)


def test_a_copy_to_the_host_is_found_and_named(demo_rehearsals: Rehearsals) -> None:
    found = strangers(_with(planted.to_the_host, demo_rehearsals).waits, WAITS)
    assert found == ["copy cpu to cuda in planted.py, to_the_host", "copy cuda to cpu in planted.py, to_the_host"]


@pytest.mark.parametrize("in_loss", [False, True])
def test_a_value_that_is_asked_for_is_found_and_named(demo_rehearsals: Rehearsals, in_loss: bool) -> None:
    seen = _with(planted.asks_for_a_value, demo_rehearsals, in_loss)
    assert strangers(seen.waits, WAITS) == ["value in planted.py, asks_for_a_value"]


def test_a_tensor_that_was_made_without_a_device_is_found_and_named(demo_rehearsals: Rehearsals) -> None:
    with pytest.raises(RuntimeError, match="at least two devices") as error:
        _with(planted.made_on_the_host, demo_rehearsals)
    assert "made_on_the_host" in [entry.name for entry in error.traceback]


def test_more_bits_than_needed_are_found_and_named(demo_rehearsals: Rehearsals) -> None:
    assert strangers(_with(planted.in_float64, demo_rehearsals).doubles, DOUBLES) == ["float64 in planted.py, in_float64"]
