"""What trainings are estimated to keep on their GPUs, beside what rehearsed ones kept."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from dbot.base.errors import UserError
from dbot.forecast.forecast import forecast
from dbot.forecast.show import summary
from dbot.forecast.work import Works
from dbot.memory import GIGA, USABLE, Footprint
from dbot.params.load import load
from dbot.plan import Plan
from tests.conftest import PROJECT
from tests.gpu_rehearsal.cases import CASES, Case
from tests.gpu_rehearsal.peaks import written
from tests.params_text import params_text

NOTES = ("", "checkpointing", "both", "processes", "resumed", "plain", "follows")
ESTIMATED = [case for case in CASES if case.note in NOTES]
"""All whose memory is that of their recipes; of detection, those with the largest images."""


@pytest.fixture(scope="module")
def paper() -> Plan:
    return Plan(load(PROJECT / "params.yaml", "paper"))


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in ESTIMATED])
def test_the_estimate_is_near_what_was_rehearsed(paper: Plan, case: Case) -> None:
    job = case.job(paper)
    asked, estimated = paper.resources(job), Works(paper).of(job).memory
    assert estimated is not None
    varied = case.variation
    peak = estimated.peak(asked.batch, bool(asked.checkpointing or varied.checkpointing), varied.world > 1 or varied.accumulation > 1)
    assert peak == pytest.approx(written()[case.name], rel=0.05)


def test_a_plan_says_it_for_a_job_of_several_processes(paper: Plan) -> None:
    job = paper.job("segment", row="B-B", seed="0")
    assert paper.gpu_memory(job) == pytest.approx(written()["segment-B-B-0-processes"] / GIGA, rel=0.05)
    assert paper.gpu_memory(paper.job("analyse", row="B-B", stage="1")) is None


def footprint() -> Footprint:
    return Footprint(weights=1e9, frozen=1e9, image=1e9, inside=0.8e9, widest=0.1e9, recomputed=0.05e9)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_largest_batch_fits_and_one_more_does_not(checkpointing: bool) -> None:
    found = footprint().largest_batch(20, checkpointing)
    room = 20 * USABLE * GIGA
    assert footprint().peak(found, checkpointing) <= room < footprint().peak(found + 1, checkpointing)


def test_what_does_not_fit_with_any_batch_says_so() -> None:
    assert footprint().largest_batch(5, True) == 0


def test_gradients_of_one_pass_alone_count_where_they_outweigh_the_images() -> None:
    light = replace(footprint(), image=0.4e9, inside=0.3e9)
    assert light.peak(1, False, held=False) == pytest.approx(1e9 + 3.5e9 + 1e9 + 0.1e9)
    assert light.peak(3, False, held=False) == pytest.approx(1e9 + 3.5e9 + 1e9 + 0.3e9)
    assert light.peak(5, False, held=False) == pytest.approx(1e9 + 3.5e9 + 2e9)
    assert light.peak(1, False) == pytest.approx(1e9 + 4.5e9 + 0.4e9)


def test_biases_of_attention_are_there_once_a_pass_and_in_one_block_where_blocks_are_computed_again() -> None:
    biased = replace(footprint(), biases=2e9, bias=0.1e9)
    for batch in (1, 8):
        assert biased.peak(batch, False) - footprint().peak(batch, False) == pytest.approx(2e9)
        assert biased.peak(batch, True) - footprint().peak(batch, True) == pytest.approx(0.1e9)


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = params_text()
    assert text.count(old) >= 1
    file = tmp_path / "params.yaml"
    file.write_text(text.replace(old, new, 1))
    return file


def test_a_job_that_will_not_fit_is_named_with_what_would(paper: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = changed(tmp_path, "H: {batch_per_process: 64}", "H: {batch_per_process: 512}")
    plan = Plan(load(file, "paper"))
    monkeypatch.chdir(tmp_path)
    (line,) = [line.strip() for line in summary(forecast(plan)).splitlines() if "warning" in line]
    assert line.startswith("warning: distill")
    assert "of a GPU's 80 GB: set resources.distill.H.batch_per_process: " in line
    fits = int(line.split("batch_per_process: ")[1].split()[0])
    assert 64 <= fits < 512
    assert line.endswith("or checkpointing: true")


def test_auto_takes_as_many_as_fit(paper: Plan, tmp_path: Path) -> None:
    plan = Plan(load(changed(tmp_path, "H: {batch_per_process: 64}", "H: {batch_per_process: auto}"), "paper"))
    job = plan.job("distill", row="H-CLIP", stage="1")
    found = plan.resources(job).batch
    assert found > paper.resources(job).batch
    assert (plan.gpu_memory(job) or 0) <= 80 * USABLE


@pytest.mark.parametrize(
    ("stated", "verb", "key", "why"),
    [
        ("batch_per_process: 2, checkpointing: true", "detect", {"row": "B-B", "seed": "0"}, "norms of detect jobs count over the images"),
        ("batch_per_process: 64, memory_gb: 64", "analyse", {"row": "B-B", "stage": "1"}, "the memory of analyse jobs is not estimated"),
    ],
)
def test_auto_is_refused_where_it_decides_more_or_nothing_is_estimated(
    tmp_path: Path, stated: str, verb: str, key: dict[str, str], why: str
) -> None:
    plan = Plan(load(changed(tmp_path, stated, re.sub(r": \d+", ": auto", stated, count=1)), "paper"))
    with pytest.raises(UserError, match=rf"resources\.{verb}: batch_per_process is auto, but {why}"):
        plan.resources(plan.job(verb, **key))


def test_where_norms_count_over_a_pass_checkpointing_comes_before_fewer_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = changed(tmp_path, "batch_per_process: 2, checkpointing: true", "batch_per_process: 8")
    plan = Plan(load(file, "paper"))
    monkeypatch.chdir(tmp_path)
    lines = [line.strip() for line in summary(forecast(plan)).splitlines() if "warning: detect" in line]
    assert lines
    assert all(line.endswith(".checkpointing: true") and "batch_per_process" not in line for line in lines)
