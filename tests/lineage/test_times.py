"""File times follow the receipts, so that Snakemake, which goes by them, plans what the judge says."""

import os
import random
from pathlib import Path

import pytest

from dbot.lineage.judge import Judge, State
from dbot.lineage.session import Session
from dbot.lineage.times import OLDEST_NS, outputs, set_times
from dbot.plan import Job
from tests.fakes import FakeProject

DAY_NS = 86_400 * 10**9


@pytest.fixture
def built(project: FakeProject) -> FakeProject:
    project.run_chain(cell(project))
    return project


def cell(project: FakeProject) -> Job:
    return project.plan.evaluate("B-B", "cls", "0")


def chain(project: FakeProject) -> list[Job]:
    return project.plan.jobs([cell(project)])


def times(project: FakeProject) -> dict[Path, int]:
    """By path, when what the jobs left was last changed, in nanoseconds."""
    return {path: path.stat().st_mtime_ns for job in chain(project) for path in outputs(job) if path.is_file()}


def shuffle(project: FakeProject, seed: int = 0) -> None:
    """As a clone, a pull or a copy leaves the times."""
    chance = random.Random(seed)
    for path in times(project):
        time_ns = Path("params.yaml").stat().st_mtime_ns + chance.randint(-DAY_NS, DAY_NS)
        os.utime(path, ns=(time_ns, time_ns))


def set_all(project: FakeProject) -> None:
    set_times(project.plan, Judge(), [cell(project)])


def are_in_order(project: FakeProject, job: Job) -> bool:
    """Whether nothing that a job wrote is older than anything that it read, of what is here."""
    read = [path for role, needed in job.inputs.items() for path in (needed.receipt, *job.reads(role))]
    newest = max(path.stat().st_mtime_ns for path in read or [Path("params.yaml")] if path.is_file())
    return all(path.stat().st_mtime_ns >= newest for path in outputs(job) if path.is_file())


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_times_come_in_order(built: FakeProject, seed: int) -> None:
    shuffle(built, seed)
    assert not all(are_in_order(built, job) for job in chain(built))
    set_all(built)
    assert all(are_in_order(built, job) for job in chain(built))


def test_what_is_in_order_is_not_touched(built: FakeProject) -> None:
    before = times(built)
    set_all(built)
    assert times(built) == before
    shuffle(built)
    set_all(built)
    before = times(built)
    set_all(built)
    assert times(built) == before


def test_an_edit_of_params_yaml_that_changes_no_job_makes_nothing_old(built: FakeProject) -> None:
    time_ns = Path("params.yaml").stat().st_mtime_ns + DAY_NS
    os.utime("params.yaml", ns=(time_ns, time_ns))
    set_all(built)
    assert all(are_in_order(built, job) for job in chain(built))


def test_what_does_not_hold_becomes_the_oldest(built: FakeProject) -> None:
    """The receipts of the jobs that have to run again: they themselves, and all that was made from them."""
    built.set("label_smoothing: 0.1\n      head_init_std: 0.01", "label_smoothing: 0.2\n      head_init_std: 0.01")
    broken = built.plan.distill("B-B", "1").receipt
    broken.write_text(broken.read_text().replace('"loss": 0.25', '"loss": 0.2'))
    shuffle(built)
    set_all(built)
    judge = Judge()
    states = {job.name: judge.of(job).own for job in chain(built)}
    assert states["finetune/B-B/seed0"] is State.STALE
    assert states["distill/B-B/stage1"] is State.BROKEN
    oldest = {path for path, time_ns in times(built).items() if time_ns == OLDEST_NS}
    assert oldest == {job.receipt for job in judge.to_do(built.plan, [cell(built)])}
    assert all(are_in_order(built, job) for job in built.plan.jobs([built.plan.prepare("digits")]))


def test_made_again_it_is_in_order_again(built: FakeProject) -> None:
    built.set("label_smoothing: 0.1\n      head_init_std: 0.01", "label_smoothing: 0.2\n      head_init_std: 0.01")
    set_all(built)
    built.run(built.plan.finetune("B-B", "0"))
    built.run(cell(built))
    set_all(built)
    assert all(are_in_order(built, job) for job in chain(built))


def test_where_a_file_is_missing_that_nobody_needs_the_rest_comes_in_order(built: FakeProject) -> None:
    (built.plan.distill("B-B", "1").folder / "student.safetensors").unlink()
    shuffle(built)
    set_all(built)
    assert all(are_in_order(built, job) for job in chain(built))


def test_a_file_that_was_brought_back_makes_nothing_that_reads_it_younger(built: FakeProject) -> None:
    """Else the tables, which read the last receipts, would be written again."""
    set_all(built)
    before = {job.receipt: job.receipt.stat().st_mtime_ns for job in chain(built)}
    student = built.plan.distill("B-B", "1").folder / "student.safetensors"
    student.write_bytes(student.read_bytes())
    later = max(before.values()) + DAY_NS
    os.utime(student, ns=(later, later))
    set_all(built)
    assert {job.receipt: job.receipt.stat().st_mtime_ns for job in chain(built)} == before
    assert all(are_in_order(built, job) for job in chain(built))


def test_a_job_at_work_has_to_run_until_it_has_ended(built: FakeProject) -> None:
    job = built.plan.distill("B-B", "2")
    with Session(job):
        set_all(built)
        assert job.receipt.stat().st_mtime_ns == OLDEST_NS
    set_all(built)
    assert all(are_in_order(built, each) for each in chain(built))
