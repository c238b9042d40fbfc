"""The dense tasks as jobs: killed and gone on, measured, and pictured."""

import json
import os
import random
import shutil
import signal
import time

import pytest

from dbot.jobs.evaluate import DENSE, GALLERY
from dbot.lineage import receipt as receipts
from tests.e2e.project import Copy

SCENES = {"image_size": 32, "train": 40, "validation": 6, "scene": {"digits": [1, 2], "sizes": [0.5, 0.9]}}
SEEN = {"short_side": 32, "long_side": 32}
FEW = {
    "datasets": {"scenes-boxes": {"embedded": SCENES}, "scenes-maps": {"embedded": SCENES}},
    "recipes": {
        "detect": {"asymmetric": {"epochs": 3, "augmentation": {"short_sides": [32], "long_side": 32}, "inference": SEEN}},
        "segment": {"asymmetric": {"epochs": 12}},
    },
}
FIGURES = {"det": {"box_ap", "mask_ap50"}, "seg": {"miou", "macc", "aacc"}}


def states(copy: Copy) -> set[str]:
    """Names of the states written so far; each holds its step."""
    return {path.name for path in (copy.folder / "state").rglob("step-*.pt")}


@pytest.mark.slow
@pytest.mark.parametrize("column", ["det", "seg"])
def test_a_killed_training_ends_like_an_undisturbed_one(tmp_path, column):
    disturbed = Copy.made(tmp_path / "disturbed")
    disturbed.change(FEW)
    evaluation = disturbed.plan.evaluate("B-scratch", column, 0)
    training = disturbed.plan.job(DENSE[column], row="B-scratch", seed="0")
    command = training.command.split()
    for job in disturbed.plan.jobs([training.inputs["data"]]):
        disturbed.run(*job.command.split())
    whole = Copy(tmp_path / "whole")
    shutil.copytree(disturbed.folder, whole.folder, symlinks=True)

    moments = random.Random(0)
    for _ in range(3):
        before = states(disturbed)
        run = disturbed.start(*command)
        while run.poll() is None and states(disturbed) <= before:
            time.sleep(0.05)
        time.sleep(moments.uniform(0, 0.5))
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    assert "goes on after step" in disturbed.run(*command).stdout + (disturbed.folder / "started.log").read_text()

    whole.run(*command)
    ids = {receipts.read(copy.folder / training.receipt).id for copy in (whole, disturbed)}
    assert len(ids) == 1

    disturbed.run(*evaluation.command.split())
    folder = disturbed.folder / evaluation.folder
    assert json.loads((folder / "metrics.json").read_text()).keys() >= FIGURES[column]
    assert (folder / GALLERY).stat().st_size > 1000
