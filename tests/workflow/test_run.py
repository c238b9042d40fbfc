"""`workflow/run` after a kill: no lock is left in the way, and no job is started twice."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.workflow.conftest import snakemake, surroundings

TARGET = "results/demo/finetune/B-scratch/seed0/receipt.json"
RUN = ["workflow/run", "--cores", "2", TARGET]


def start(project: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        RUN,
        cwd=project,
        env=surroundings(**environment),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def until(condition: Callable[[], object]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("what the test waits for did not come about")


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_run_that_was_killed_with_its_jobs_is_finished_by_the_next(fresh: Path) -> None:
    killed = start(fresh, SLOW="finetune")
    until(lambda: list(fresh.glob("state/**/lock")))
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert list(fresh.glob(".snakemake/locks/*")), "the kill came too late to leave a lock"
    output, _ = (done := start(fresh)).communicate(timeout=120)
    assert done.returncode == 0, output
    assert (fresh / TARGET).is_file()


def test_a_job_that_outlived_its_snakemake_is_waited_for(fresh: Path) -> None:
    killed = start(fresh, SLOW="prepare")
    until(lambda: list(fresh.glob("state/**/lock")))
    for pid in (*children_of(killed.pid), killed.pid):  # Snakemake first: its job lives on, in no one's care
        os.kill(pid, signal.SIGKILL)
    killed.wait()
    output, _ = (done := start(fresh)).communicate(timeout=120)
    assert done.returncode == 0, output
    assert "waiting for it to end" in output
    assert (fresh / TARGET).is_file()


def test_a_second_run_waits_for_the_first(fresh: Path) -> None:
    first = start(fresh, SLOW="prepare")
    until(lambda: list(fresh.glob("state/**/lock")))
    output, _ = (second := start(fresh)).communicate(timeout=120)
    assert second.returncode == 0, output
    assert "another run is going on here" in output
    assert "Nothing to be done" in output
    first.communicate()
    assert first.returncode == 0


def test_a_run_that_writes_the_page_ends_with_the_table(built: Path) -> None:
    (built / "results/demo/report.html").unlink()
    said = snakemake(built, "--cores", "2").stdout.splitlines()
    (line,) = [line for line in said if line.startswith("H448-CLIP ")]
    assert line.split()[-1] == "89.1", "published, after measured and control"
    assert any("cells measured at scale demo" in line for line in said)
    assert any("results/demo/report.html" in line and not line.startswith("[") for line in said)
    other = snakemake(built, "--cores", "2", "results/demo/probe/B-L/stage1/receipt.json").stdout
    assert "cells measured at scale" not in other
