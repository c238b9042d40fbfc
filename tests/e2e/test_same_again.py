"""The same commit, parameters, seeds, kind of device and number of processes give the same digests, in whatever folder."""

import shutil
from pathlib import Path

import pytest

from dbot.lineage import receipt as receipts
from dbot.lineage.receipt import Receipt
from tests.e2e.project import Copy

SMALL = {
    "datasets": {"digits": {"embedded": {"train": 48, "validation": 20}}},
    "recipes": {"pretrain": {"asymmetric": {"epochs": 2}}, "finetune": {"asymmetric": {"epochs": 2}}},
}
SETTINGS = ({"PYTHONHASHSEED": "1", "TZ": "UTC"}, {"PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo", "LC_ALL": "C"})
"""What surrounds the two runs and should decide nothing."""


def made(folder: Path, environment: dict[str, str]) -> Copy:
    copy = Copy.made(folder)
    copy.env |= environment
    copy.change({"execution": {"mlflow": False}, **SMALL})
    return copy


def outcome(copy: Copy) -> dict[str, Receipt]:
    plan = copy.plan
    jobs = plan.jobs([plan.evaluate("B-B", "cls", 0)])
    return {job.name: receipts.read(copy.folder / job.receipt) for job in jobs if (copy.folder / job.receipt).exists()}


@pytest.mark.slow
def test_two_folders_end_with_the_same_receipts(tmp_path: Path) -> None:
    one, other = (made(tmp_path / name, around) for name, around in zip(("one", "another folder"), SETTINGS, strict=True))
    for copy in (one, other):
        for job in copy.plan.jobs([copy.plan.evaluate("B-B", "cls", 0)]):
            copy.run(*job.command.split())
    found, again = outcome(one), outcome(other)
    assert len(found) == 6
    assert {name: receipt.id for name, receipt in found.items()} == {name: receipt.id for name, receipt in again.items()}
    assert all(found[name].seal != again[name].seal for name in found), "times and places are on them too"


@pytest.mark.slow
def test_the_number_of_processes_is_on_the_receipt_and_repeats(tmp_path: Path) -> None:
    copy = made(tmp_path / "project", {"OMP_NUM_THREADS": "1"})
    job = copy.plan.distill("B-B", 1)
    for needed in copy.plan.jobs([job])[:-1]:
        copy.run(*needed.command.split())
    torchrun = ["torchrun", "--standalone", "--nproc-per-node", "2", "-m", "--"]
    found = []
    for command in ([], torchrun, torchrun):
        shutil.rmtree(copy.folder / job.folder, ignore_errors=True)
        shutil.rmtree(copy.folder / "state", ignore_errors=True)
        copy.run(*command, *job.command.split())
        found.append(receipts.read(copy.folder / job.receipt))
    alone, two, again = found
    assert (alone.processes, two.processes) == (1, 2)
    assert alone.id != two.id
    assert two.id == again.id
