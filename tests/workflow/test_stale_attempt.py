"""An attempt at a job that was cut off, and fails after another has finished the job, leaves what the other made."""

import subprocess
import time
from pathlib import Path

from dbot.lineage.times import outputs
from dbot.params.load import load
from dbot.plan import Plan
from tests.workflow.conftest import snakemake, surroundings

RECEIPT = "results/demo/distill/B-B/stage1/receipt.json"
STALE = """#!/usr/bin/env bash
[ "$1" = distill ] || exec stand-in/others "$@"
touch at-work
while [ ! -e node-is-back ]; do sleep 0.1; done
exit 137
"""


def test_outputs_of_another_attempt_stay_and_count_once_their_receipt_is_there(fresh: Path) -> None:
    """Snakemake removes the outputs of a job that failed, unless it is told to keep them: a model and its receipt vanished so."""
    (fresh / "stand-in" / "dbot").rename(fresh / "stand-in" / "others")
    (fresh / "stand-in" / "dbot").write_text(STALE)
    (fresh / "stand-in" / "dbot").chmod(0o755)
    with (fresh / "log").open("w") as log:
        stale = subprocess.Popen(["snakemake", "--cores", "1", RECEIPT], cwd=fresh, env=surroundings(), stdout=log, stderr=log)
        while not (fresh / "at-work").exists():
            assert stale.poll() is None, (fresh / "log").read_text()
            time.sleep(0.1)
        job = Plan(load(fresh / "params.yaml", "demo")).distill("B-B", 1)
        subprocess.run(["stand-in/others", *job.arguments], cwd=fresh, env=surroundings(), check=True)
        made = {fresh / path: (fresh / path).read_bytes() for path in outputs(job) if (fresh / path).is_file()}
        (fresh / "node-is-back").touch()
        assert stale.wait(timeout=60) == 1
    assert {file: file.read_bytes() for file in made} == made
    (fresh / "stand-in" / "others").rename(fresh / "stand-in" / "dbot")
    assert "Nothing to be done" in snakemake(fresh, "--dry-run", RECEIPT).stdout
    (fresh / RECEIPT).unlink()  # as where the job failed before its end
    done = snakemake(fresh, "--cores", "1", RECEIPT)
    assert done.returncode == 0, done.stdout
    assert all(file.exists() for file in made)
