"""What a device's measurement is compared with is what `dbot forecast` says of the paper's rows."""

import pytest

from benchmarks.forecast import expected
from dbot.forecast.work import Works
from dbot.params.load import load
from dbot.plan import Plan
from tests.conftest import PROJECT


@pytest.mark.parametrize(("verb", "key"), [("distill", {"row": "B-B", "stage": "1"}), ("finetune", {"row": "B-B", "seed": "0"})])
def test_a_step_is_that_of_the_papers_row(verb: str, key: dict[str, str]) -> None:
    plan = Plan(load(PROJECT / "params.yaml", "paper"))
    work = Works(plan).of(plan.job(verb, **key))
    flops, footprint = expected("B", "bf16")[verb]
    assert work.training is not None
    assert flops == pytest.approx(work.training.flops.total)
    assert footprint == work.memory
