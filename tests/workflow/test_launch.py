"""`workflow/launch`: what it starts, and what follows when a job leaves off. Slurm's commands are stand-ins; tests/slurm has real ones."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.workflow.conftest import PROJECT

LAUNCH = PROJECT / "workflow" / "launch"
SLURM = {"SLURM_JOB_ID": "41", "SLURM_JOB_END_TIME": "1900000000"}
STAND_INS = {
    "dbot": 'echo "dbot $*"; [ -z "${RECEIPT:-}" ] || touch "$RECEIPT"; exit "${STATUS:-0}"',
    "torchrun": 'echo "torchrun $*"; [ -z "${RECEIPT:-}" ] || touch "$RECEIPT"; exit "${STATUS:-0}"',
    "srun": 'echo "srun $*"; exit "${STATUS:-0}"',
    "sleep": "echo slept",
    "squeue": 'case "$*" in *%e*) echo 2030-01-01T00:00:00 ;; *%N*) echo "n[3-4]" ;; esac',
    "scontrol": """case "$1 $2" in
        "show hostnames") seq --format n%g 3 9999 ;;
        "show node") echo "NodeAddr=10.0.0.3 NodeHostName=n3" ;;
        requeue*) echo "requeue $2" >> requeued; exit "${REFUSES:-0}" ;;
    esac""",
}


@pytest.fixture
def launch(tmp_path: Path):
    """Runs it in a folder of its own; its output, standard error included, and its status."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, line in STAND_INS.items():
        (programs / name).write_text(f"#!/bin/bash\n{line}\n")
        (programs / name).chmod(0o755)

    def run(nodes: int, gpus: int, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        flags = ["--nodes", f"{nodes}", "--gpus", f"{gpus}", "--threads", "6"]
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}
        env = {**kept, **environment, "PATH": f"{programs}:{os.environ['PATH']}"}
        with (tmp_path / "job.log").open("w") as log:
            done = subprocess.run(
                [LAUNCH, *flags, *arguments], cwd=tmp_path, env=env, stdout=log, stderr=subprocess.STDOUT, text=True, check=False
            )
        done.stdout = (tmp_path / "job.log").read_text()
        return done

    return run


def test_one_process_is_dbot_itself(launch):
    assert launch(1, 0, "distill", "--row", "B-B").stdout == "dbot distill --row B-B\n"
    assert launch(1, 1, "distill").stdout == "dbot distill\n"


def test_several_on_one_node_are_started_by_torchrun(launch, tmp_path):
    receipt = tmp_path / "receipt.json"
    done = launch(1, 4, "distill", "--receipt", str(receipt), RECEIPT=str(receipt))
    assert done.stdout == f"torchrun --standalone --nproc-per-node 4 -m -- dbot distill --receipt {receipt}\n"
    assert done.returncode == 0


def test_torchrun_knows_the_flags(launch):
    from torch.distributed.run import get_args_parser

    for nodes, flags in ((1, {}), (2, SLURM)):
        words = launch(nodes, 4, "distill", "--start", "x", **flags).stdout.split()
        parsed = get_args_parser().parse_args(words[words.index("torchrun") + 1 :])
        assert [parsed.training_script, *parsed.training_script_args] == ["dbot", "distill", "--start", "x"]
        assert parsed.module


def test_on_several_nodes_each_has_a_torchrun_that_meets_the_others_at_the_first(launch):
    said = launch(2, 8, "distill", **SLURM).stdout
    assert "--nodes 2 --ntasks 2 --ntasks-per-node 1 --cpus-per-task 6 --kill-on-bad-exit=1 torchrun --nnodes 2 --nproc-per-node 8" in said
    assert "--rdzv-endpoint 10.0.0.3:20041" in said


def test_several_nodes_without_slurm_are_refused_in_a_line(launch):
    done = launch(2, 8, "distill")
    assert done.returncode == 2
    assert done.stdout.count("\n") == 1
    assert "2 nodes were asked for outside of a Slurm job" in done.stdout
    assert "resources.distill.any.nodes" in done.stdout


def test_a_training_that_left_off_goes_back_into_the_queue_and_keeps_its_log(launch, tmp_path):
    for _ in range(2):
        done = launch(1, 0, "distill", STATUS="75", **SLURM)
        assert "Slurm job 41 is in the queue again" in done.stdout
    assert (tmp_path / "requeued").read_text() == "requeue 41\n" * 2
    assert (tmp_path / "job.earlier.log").read_text() == "dbot distill\n" * 2


def test_under_torchrun_a_missing_receipt_says_that_it_left_off(launch, tmp_path):
    receipt = tmp_path / "receipt.json"
    launch(1, 2, "distill", "--receipt", str(receipt), **SLURM)
    assert (tmp_path / "requeued").exists()
    (tmp_path / "requeued").unlink()
    assert launch(1, 2, "distill", "--receipt", str(receipt), RECEIPT=str(receipt), **SLURM).returncode == 0
    assert not (tmp_path / "requeued").exists()


@pytest.mark.parametrize("status", ["1", "2", "143"])
def test_a_failure_stays_a_failure(launch, tmp_path, status):
    assert launch(1, 0, "distill", STATUS=status, **SLURM).returncode == int(status)
    assert not (tmp_path / "requeued").exists()


def test_where_slurm_refuses_to_requeue_the_job_ends_with_its_status(launch):
    assert launch(1, 0, "distill", STATUS="75", REFUSES="1", **SLURM).returncode == 75


def test_outside_of_slurm_nothing_is_requeued(launch, tmp_path):
    assert launch(1, 0, "distill", STATUS="75").returncode == 75
    assert not (tmp_path / "requeued").exists()


def test_wrong_arguments_are_a_line(tmp_path):
    done = subprocess.run([LAUNCH, "distill"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "use it as" in done.stderr
