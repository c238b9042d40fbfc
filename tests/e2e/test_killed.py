"""`kill -9` at random moments: the next run ends with the bits of one that was never disturbed."""

import os
import random
import signal
import time

import pytest

from dbot.lineage import receipt as receipts
from tests.e2e.project import Copy

TARGETS = ("row_B-B",)


def outcome(copy: Copy) -> dict[str, str]:
    """By job, the id of its receipt: parameters, inputs, outputs and results, but not times."""
    cells = copy.plan.cells(["B-B"])
    return {job.name: receipts.read(copy.folder / job.receipt).id for job in copy.plan.jobs(cells)}


@pytest.mark.parametrize("kills", [2, pytest.param(25, marks=pytest.mark.slow)])
def test_a_killed_run_ends_like_an_undisturbed_one(tmp_path, kills):
    whole = Copy.made(tmp_path / "whole")
    whole.run("workflow/run", "--cores", "2", *TARGETS)
    disturbed = Copy.made(tmp_path / "disturbed")
    moments = random.Random(0)
    for _ in range(kills):
        run = disturbed.start("workflow/run", "--cores", "2", *TARGETS)
        time.sleep(moments.uniform(4, 25))
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    disturbed.run("workflow/run", "--cores", "2", *TARGETS)
    assert outcome(disturbed) == outcome(whole)
    assert "match" in disturbed.run("dbot", "verify", "B-B/cls").stdout


def test_a_finished_job_whose_end_nobody_saw_is_not_trained_again(tmp_path):
    """A workflow that is killed together with its finished job deletes the outputs and runs the job again: from its last state."""
    copy = Copy.made(tmp_path / "project")
    job = copy.plan.distill("B-B", 1)
    for needed in copy.plan.jobs([job]):
        copy.run(*needed.command.split())
    first = receipts.read(copy.folder / job.receipt)
    for name in (job.receipt.name, *job.artifacts):
        (copy.folder / job.folder / name).unlink()
    said = copy.run(*job.command.split()).stdout
    assert "goes on after step 15 of 15" in said
    assert " done" not in said, "no epoch was trained"
    assert receipts.read(copy.folder / job.receipt).id == first.id
