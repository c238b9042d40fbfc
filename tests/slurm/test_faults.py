"""What goes wrong on a cluster, on a real Slurm: each ends with the receipt of an undisturbed run, or with a line that says why not."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dbot.lineage import receipt as receipts
from tests.e2e.project import Copy
from tests.slurm.conftest import LONG, SITE, STAGE, Cluster, started, with_data
from tests.slurm.test_slurm import MARGIN, attempts, until

pytestmark = pytest.mark.slurm

LOG = "logs/demo/distill/B-B/stage1.log"
ALL_NODES = ["--nodes", "4", "--exclusive"]


@pytest.fixture
def ours(cluster: Cluster) -> Cluster:
    if not cluster.ours:
        pytest.skip("nobody else's Slurm is disturbed")
    return cluster


def said(copy: Copy, log: str = LOG) -> str:
    return (copy.folder / log).read_text() if (copy.folder / log).exists() else ""


def is_training(copy: Copy) -> Callable[[], bool]:
    return lambda: "epoch 20 done" in said(copy)


def distilling(cluster: Cluster) -> str:
    """Number of the running job of the stage."""
    (number,) = (number for number, name in cluster.jobs("running").items() if "distill" in name)
    return number


def processes(words: str, folder: Path) -> list[int]:
    """Processes of a project whose command line has these words."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if re.search(words, line) and (entry / "cwd").resolve().name == folder.name and "python" in line:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("partition", ["low", "lowcancel"])
def test_a_preempted_job_goes_on_whether_the_partition_requeues_or_cancels(ready, ours, undisturbed, partition):
    copy = ready(f"preempted-{partition}", **LONG)
    (copy.folder / "site.yaml").write_text(f"partition: {{cpu: work, gpu: {partition}}}\n".replace("cpu: work", f"cpu: {partition}"))
    run = ours.start(copy, STAGE)
    until(is_training(copy))
    number = distilling(ours)
    ours.said("sbatch", "--partition", "high", *ALL_NODES, "--time", "2", "--output", "/dev/null", "--wrap", "sleep 15")
    assert run.wait(timeout=400) == 0
    assert len(attempts(copy, copy.plan.distill("B-B", 1))) >= 2
    assert {attempt.slurm_job for attempt in attempts(copy, copy.plan.distill("B-B", 1))} == {number}, "a preempted job keeps its number"
    assert receipts.read(copy.folder / STAGE).id == undisturbed
    if partition == "lowcancel":
        assert f"Slurm takes job {number} away for another" in said(copy, LOG.replace(".log", ".earlier.log")) + said(copy)


def test_a_job_that_is_cancelled_for_another_without_grace_goes_on_too(tmp_path, prepared, undisturbed):
    with started(tmp_path / "cluster", grace=0, nodes=1) as cluster:
        if not cluster.ours:
            pytest.skip("nobody else's Slurm is disturbed")
        copy = with_data(cluster.copy(tmp_path / "project"), prepared)
        copy.change(LONG)
        (copy.folder / "site.yaml").write_text("partition: lowcancel\n")
        run = cluster.start(copy, STAGE)
        until(is_training(copy))
        cluster.said("sbatch", "--partition", "high", "--exclusive", "--time", "2", "--output", "/dev/null", "--wrap", "sleep 5")
        assert run.wait(timeout=400) == 0
        assert receipts.read(copy.folder / STAGE).id == undisturbed


def test_jobs_that_the_cluster_can_not_run_are_refused_before_anything_is_submitted(project, ours):
    copy = project("refused")
    (copy.folder / "site.yaml").write_text("partition: short\n")
    text = ours.run(copy, STAGE, status=1)
    assert "allows 1" in text
    assert "resources.distill" in text
    assert "Traceback" not in text
    assert "has been submitted" not in text


def test_a_job_that_can_no_longer_start_is_an_error_with_slurms_reason(project, ours):
    copy = project("never")
    ours.said("scontrol", "update", "NodeName=n[1-4]", "State=DRAIN", "Reason=test")
    try:
        run = ours.start(copy, "results/demo/generate/digits/receipt.json", options=("--retries", "0"))
        until(lambda: ours.jobs("pending"))
        ours.said("scontrol", "update", "PartitionName=work", "MaxTime=1")
        assert run.wait(timeout=300) == 1
        log = (copy.folder / "started.log").read_text()
        assert "could never have started (PartitionTimeLimit)" in log
        assert not ours.jobs("pending")
    finally:
        ours.said("scontrol", "update", "PartitionName=work", "MaxTime=60")
        ours.said("scontrol", "update", "NodeName=n[1-4]", "State=RESUME")


def test_after_kill_9_of_snakemake_a_second_attempt_waits_for_the_first(ready, ours, undisturbed):
    copy = ready("killed", **LONG)
    first = ours.start(copy, STAGE)
    until(is_training(copy))
    number = distilling(ours)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    copy.run("snakemake", "--unlock")
    second = ours.start(copy, STAGE)
    until(lambda: f"Slurm job {number}" in said(copy))
    assert "is running already: process" in said(copy)
    assert "waiting for it to end" in said(copy)
    assert "epoch" in said(copy, LOG.replace(".log", f".job{number}.log")), "the words of the running job are gone"
    assert second.wait(timeout=400) == 0
    assert receipts.read(copy.folder / STAGE).id == undisturbed
    assert "Trying to restart" not in (copy.folder / "started.log").read_text(), "a retry was spent"


def test_a_lost_node_costs_neither_the_job_nor_what_another_attempt_has_finished(ready, ours, undisturbed):
    """Its slurmd is gone, the job's processes live on: Slurm starts the job on another node, while the first still works."""
    copy = ready("lost", **LONG)
    run = ours.start(copy, STAGE)
    until(is_training(copy))
    number = distilling(ours)
    node = ours.said("squeue", "--noheader", "--jobs", number, "--format", "%N").strip()
    ours.said("pkill", "-KILL", "-f", f"^slurmd -N {node}$")
    ours.said("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    try:
        until(lambda: "waiting for it to end" in said(copy))
        # The first attempt's Snakemake sees its job die, but only after the other has finished.
        inner = processes(r"snakemake .*--mode", copy.folder)
        old = processes(r"dbot distill", copy.folder)
        stale = [pid for pid in inner if any(_descends(child, pid) for child in old if not _waits(child))]
        for pid in stale:
            os.kill(pid, signal.SIGSTOP)
        for pid in (pid for pid in old if not _waits(pid)):
            os.kill(pid, signal.SIGKILL)
        assert run.wait(timeout=400) == 0
        assert receipts.read(copy.folder / STAGE).id == undisturbed
        for pid in stale:
            os.kill(pid, signal.SIGCONT)
        until(lambda: not any(_lives(pid) for pid in stale), 120)
        assert receipts.read(copy.folder / STAGE).id == undisturbed
        assert (copy.folder / STAGE).with_name("student.safetensors").exists()
    finally:
        ours.said("slurmd", "-N", node)
        # An older Slurm has it back as soon as its slurmd is, and then refuses to be told so.
        subprocess.run(ours.command("scontrol", "update", f"NodeName={node}", "State=RESUME"), capture_output=True, check=False)


def _parent(pid: int) -> int:
    return int(re.search(r"^PPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1])  # type: ignore[index]


def _descends(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        pid = _parent(pid)
    return False


def _lives(pid: int) -> bool:
    """Whether a process is there, and not only its entry, which its parent has yet to take."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def _waits(pid: int) -> bool:
    """Whether a job's process waits for another's lock: it has hardly computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") < 15


def test_a_job_that_ran_out_of_memory_asks_for_more(ready, ours, undisturbed):
    copy = ready("memory", **LONG)
    run = ours.start(copy, STAGE)
    until(is_training(copy))
    before = ours.said("squeue", "--noheader", "--jobs", distilling(ours), "--format", "%m").strip()
    (trains,) = processes(r"dbot distill", copy.folder)
    os.kill(trains, signal.SIGKILL)  # as the kernel does
    until(lambda: "Trying to restart" in (copy.folder / "started.log").read_text())
    until(lambda: any("distill" in name for name in ours.jobs("running").values()))
    after = ours.said("squeue", "--noheader", "--jobs", distilling(ours), "--format", "%m").strip()
    assert (before, after) == ("2000M", "3000M")
    assert run.wait(timeout=400) == 0
    assert receipts.read(copy.folder / STAGE).id == undisturbed
    assert "out of memory? raise resources.distill" in (copy.folder / "started.log").read_text()


def test_where_jobs_get_no_answer_from_slurm_they_run_without_a_known_end(ready, ours, undisturbed):
    copy = ready("silent", **LONG)
    (copy.folder / "silent").mkdir()
    for name in ("squeue", "scontrol"):
        (copy.folder / "silent" / name).write_text(f'#!/bin/bash\n[ -z "$SLURM_JOB_ID" ] || exit 0\nPATH=${{PATH#*:}} exec {name} "$@"\n')
        (copy.folder / "silent" / name).chmod(0o755)
    copy.env["PATH"] = f"{copy.folder}/silent:{copy.env['PATH']}"
    # Slurm 24.11 tells a job its end without being asked; an older one doesn't.
    (copy.folder / "site.yaml").write_text(SITE + "setup: [unset SLURM_JOB_END_TIME]\n")
    ours.run(copy, STAGE)
    assert "Slurm does not say when job" in said(copy)
    assert len(attempts(copy, copy.plan.distill("B-B", 1))) == 1
    assert receipts.read(copy.folder / STAGE).id == undisturbed


def test_a_snakemake_inside_an_allocation_is_not_requeued_with_it(ready, ours, undisturbed):
    copy = ready("inside", **LONG, execution=MARGIN)
    line = f"snakemake --nocolor --cores 2 --config scale=demo -- {STAGE}"
    sbatch = ["sbatch", "--parsable", "--time", "1", "--output", "allocation.log", "--chdir", str(copy.folder), "--wrap", line]
    number = copy.run(*sbatch).stdout.strip()
    asks = ("squeue", "--noheader", "--states", "all", "--jobs", number, "--format", "%T")
    until(lambda: ours.said(*asks).strip() not in ("PENDING", "RUNNING"))
    assert "Restarts=0" in ours.said("scontrol", "show", "job", number)
    assert said(copy).rstrip().endswith("left off, with its state written; start it again to go on")
    copy.run(*line.split())
    assert receipts.read(copy.folder / STAGE).id == undisturbed


def test_a_job_on_two_nodes_runs_inside_an_allocation_of_more(ready, ours):
    alone, copy = ready("alone"), ready("together", resources={"distill": {"any": {"nodes": 2}, "B": {"batch_per_process": 4}}})
    alone.run(*alone.plan.distill("B-B", 1).command.split())
    line = f"snakemake --nocolor --cores 4 --config scale=demo -- {STAGE}"
    sbatch = ["sbatch", "--wait", "--nodes", "3", "--ntasks-per-node", "1", "--cpus-per-task", "4", "--output", "allocation.log"]
    copy.run(*sbatch, "--chdir", str(copy.folder), "--wrap", line)
    one, several = (receipts.read(each.folder / STAGE) for each in (alone, copy))
    assert several.processes == 2
    assert several.results["loss"] == pytest.approx(one.results["loss"], rel=1e-4)


def test_a_line_of_setup_that_fails_ends_the_job(project, ours):
    copy = project("setup")
    (copy.folder / "site.yaml").write_text(SITE + 'setup: ["module load nosuchthing"]\n')
    text = ours.run(copy, "results/demo/generate/digits/receipt.json", status=1)
    logs = "".join(file.read_text() for file in (copy.folder / "logs/slurm").rglob("*.log"))
    assert "site.yaml: setup failed at: module load nosuchthing" in logs + text


def test_status_tells_failed_from_not_run(ready, ours):
    broken = {"recipes": {"pretrain": {"asymmetric": {"optimizer": {"learning_rate": 1.0e30}}}}}
    copy = ready("failed", **broken)
    text = ours.run(copy, STAGE, options=("--retries", "0"), status=1)
    last = [line for line in said(copy).splitlines() if line.strip()][-1]
    assert last.startswith("dbot distill: ")
    assert f"distill/B-B/stage1 failed: {last} (log: {LOG})" in text
    assert re.search(r"failed +distill/B-B/stage1: dbot distill: ", copy.run("dbot", "status", "--scale", "demo").stdout)


def test_the_queue_is_empty_afterwards(ours):
    time.sleep(1)
    assert subprocess.run(ours.command("squeue", "--noheader", "--me"), capture_output=True, text=True, check=True).stdout == ""
