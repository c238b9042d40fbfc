"""An attempt at a job that was cut off, and fails after another has finished the job, leaves what the other made."""

import subprocess
import time
from pathlib import Path

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
        made = [fresh / RECEIPT, *(fresh / RECEIPT.replace("receipt.json", name) for name in ("student.safetensors", "metrics.csv"))]
        for file in made:
            file.write_text("by the attempt that took over")
        (fresh / "node-is-back").touch()
        assert stale.wait(timeout=60) == 1
    assert [file.read_text() for file in made] == ["by the attempt that took over"] * 3
    (fresh / "stand-in" / "others").rename(fresh / "stand-in" / "dbot")
    assert "Nothing to be done" in snakemake(fresh, "--dry-run", RECEIPT).stdout
    made[0].unlink()  # as where the job failed before its end
    done = snakemake(fresh, "--cores", "1", RECEIPT)
    assert done.returncode == 0, done.stdout
    assert [file.exists() for file in made] == [True] * 3
    assert made[1].read_text() != "by the attempt that took over"
