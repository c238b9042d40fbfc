"""`workflow/launch`: what it starts, and what follows when a job ends. Slurm's commands are stand-ins; tests/slurm has real ones."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import PROJECT

LAUNCH = PROJECT / "workflow" / "launch"
SLURM = {"SLURM_JOB_ID": "41", "SLURM_JOB_END_TIME": "1900000000"}
SAYS = 'echo "{name} $*"; [ -z "${{LINE:-}}" ] || echo "$LINE"; [ -z "${{RECEIPT:-}}" ] || touch "$RECEIPT"; exit "${{STATUS:-0}}"'
STAND_INS = {
    "dbot": SAYS.format(name="dbot"),
    "srun": SAYS.format(name="srun"),
    "python": f"""case "$*" in
        "-m dbot.cluster.launch"*) exec {sys.executable} "$@" ;;
    esac""",
    "scontrol": """case "$1 $2" in
        "show hostnames") seq --format n%g 3 9999 ;;
        "show node") echo "NodeAddr=10.0.0.3 NodeHostName=n3" ;;
        "show job") echo "JobId=$3 StartTime=2026-01-01T00:00:00 EndTime=2030-01-01T00:00:00"
            echo "PreemptTime=${PREEMPTED:-None} NodeList=n[3-9999]" ;;
        requeue*) echo "requeue $2" >> requeued; exit "${REFUSES:-0}" ;;
    esac""",
}
QUICK = "from dbot.cluster import launch, slurm; slurm.PAUSE_SECONDS = launch.SECONDS_UNTIL_SLURM_ENDS_THE_ATTEMPT = 0"


@pytest.fixture
def launch(tmp_path: Path):
    """Runs it in a folder of its own; its output, standard error included, and its status."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, line in STAND_INS.items():
        (programs / name).write_text(f"#!/bin/bash\n{line}\n")
        (programs / name).chmod(0o755)

    def run(
        nodes: int, gpus: int, *arguments: str, submitted: bool = True, commands: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        if not commands:
            (programs / "scontrol").unlink()
        flags = ["--nodes", f"{nodes}", "--gpus", f"{gpus}", "--threads", "6", "--memory-gb", "64", *["--requeue"][:submitted]]
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "CUDA_"))}
        env = {**kept, **environment, "PATH": f"{programs}:{os.environ['PATH']}"}
        with (tmp_path / "job.log").open("w") as log:
            command = [sys.executable, "-c", f"{QUICK}; raise SystemExit(launch.main())", *flags, *arguments]
            done = subprocess.run(command, cwd=tmp_path, env=env, stdout=log, stderr=subprocess.STDOUT, text=True, check=False)
        done.stdout = (tmp_path / "job.log").read_text() if (tmp_path / "job.log").exists() else ""
        return done

    return run


def test_one_process_is_dbot_itself(launch):
    assert launch(1, 0, "distill", "--row", "B-B").stdout == "dbot distill --row B-B\n"
    assert launch(1, 1, "distill").stdout == "dbot distill\n"


def test_the_script_is_the_module(launch, tmp_path):
    env = {**os.environ, "PATH": f"{tmp_path / 'programs'}:{os.environ['PATH']}"}
    flags = ["--nodes", "1", "--gpus", "0", "--threads", "1", "--memory-gb", "2"]
    done = subprocess.run([LAUNCH, *flags, "distill"], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "dbot distill\n")


def test_several_on_one_node_are_started_by_torchrun_with_their_environment(launch, tmp_path):
    (tmp_path / "programs" / "dbot").write_text('#!/bin/bash\necho "rank $RANK of $WORLD_SIZE, GPUs $DBOT_GPUS: $*"\n')
    receipt = tmp_path / "receipt.json"
    receipt.touch()
    done = launch(1, 2, "distill", "--start", "x", "--receipt", str(receipt))
    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()) == [f"rank {rank} of 2, GPUs 2: distill --start x --receipt {receipt}" for rank in (0, 1)]


def test_on_several_nodes_each_has_a_torchrun_that_meets_the_others_at_the_first(launch):
    said = launch(2, 8, "distill", **SLURM).stdout
    assert "--nodes 2 --nodelist n3,n4 --ntasks 2 --ntasks-per-node 1 --cpus-per-task 6 --kill-on-bad-exit=1" in said
    assert f"{sys.executable} -m dbot.cluster.torchrun --nproc-per-node 8 --max-restarts 0 --nnodes 2 --rdzv-backend c10d" in said
    assert "--rdzv-endpoint 10.0.0.3:20041 --rdzv-id 41-0 --no-python -- dbot distill" in said


def test_torchrun_knows_the_flags(launch):
    from torch.distributed.run import get_args_parser

    words = launch(2, 4, "distill", "--start", "x", **SLURM).stdout.splitlines()[0].split()
    parsed = get_args_parser().parse_args(words[words.index("dbot.cluster.torchrun") + 1 :])
    assert [parsed.training_script, *parsed.training_script_args] == ["dbot", "distill", "--start", "x"]
    assert parsed.no_python


def test_several_nodes_without_slurm_are_refused_in_a_line(launch):
    done = launch(2, 8, "distill")
    assert done.returncode == 2
    assert done.stdout.count("\n") == 1
    assert "2 nodes were asked for outside of a Slurm job" in done.stdout
    assert "resources.distill.any.nodes" in done.stdout


def test_nodes_that_slurm_does_not_name_are_a_line(launch):
    done = launch(2, 8, "distill", commands=False, **SLURM)
    assert done.returncode == 2
    assert "job 41 needs 2 nodes and Slurm names 0 (no answer from scontrol and squeue)" in done.stdout


@pytest.mark.parametrize("end", ["Unknown", "N/A", "NONE", ""])
def test_no_answer_is_no_deadline(launch, tmp_path, end):
    """An empty date is midnight for `date`: each training left off after one step then, for ever."""
    (tmp_path / "programs" / "dbot").write_text('#!/bin/bash\necho "ends ${SLURM_JOB_END_TIME:-never}"\n')
    (tmp_path / "programs" / "scontrol").write_text(f"#!/bin/bash\n[ -z '{end}' ] || echo 'JobId=41 EndTime={end}'\n")
    said = launch(1, 0, "distill", SLURM_JOB_ID="41").stdout
    assert "Slurm does not say when job 41 ends; the job runs without a known end" in said
    assert said.endswith("ends never\n")


def test_the_end_is_asked_for_where_slurm_does_not_set_it(launch, tmp_path):
    (tmp_path / "programs" / "dbot").write_text('#!/bin/bash\necho "ends ${SLURM_JOB_END_TIME:-never}"\n')
    said = launch(1, 0, "distill", SLURM_JOB_ID="41", TZ="UTC").stdout
    assert said == "ends 1893456000\n"


def test_a_training_that_left_off_goes_back_into_the_queue_and_keeps_its_log(launch, tmp_path):
    for _ in range(2):
        done = launch(1, 0, "distill", STATUS="75", **SLURM)
        assert "Slurm job 41 is in the queue again" in done.stdout
    assert (tmp_path / "requeued").read_text() == "requeue 41\n" * 2
    assert (tmp_path / "job.earlier.log").read_text() == "dbot distill\n" * 2
    assert not list(tmp_path.glob("*.job41.log"))


def test_under_torchrun_a_missing_receipt_says_that_it_left_off(launch, tmp_path):
    receipt = tmp_path / "receipt.json"
    for gpus in (2, 0):
        launch(2, gpus, "distill", "--receipt", str(receipt), **SLURM)
        assert (tmp_path / "requeued").exists()
        (tmp_path / "requeued").unlink()
    assert launch(2, 2, "distill", "--receipt", str(receipt), RECEIPT=str(receipt), **SLURM).returncode == 0
    assert not (tmp_path / "requeued").exists()


@pytest.mark.parametrize("status", ["1", "2", "143"])
def test_a_failure_stays_a_failure(launch, tmp_path, status):
    assert launch(1, 0, "distill", STATUS=status, **SLURM).returncode == int(status)
    assert not (tmp_path / "requeued").exists()


def test_a_job_that_slurm_takes_away_goes_back_into_the_queue_and_a_cancelled_one_does_not(launch, tmp_path):
    """The test above is the cancelled one: SIGTERM, and no time of preemption."""
    done = launch(1, 0, "distill", STATUS="143", PREEMPTED="2026-01-01T10:00:00", **SLURM)
    assert done.returncode == 75
    assert "Slurm takes job 41 away for another" in done.stdout
    assert (tmp_path / "requeued").read_text() == "requeue 41\n"


def test_a_preemption_of_an_earlier_start_is_no_reason_to_requeue_a_failure(launch, tmp_path):
    """Slurm 24.11 goes on to name its time after the job has started again."""
    assert launch(1, 0, "distill", STATUS="2", PREEMPTED="2025-12-31T23:00:00", **SLURM).returncode == 2
    assert not (tmp_path / "requeued").exists()


def test_where_slurm_refuses_to_requeue_the_job_ends_with_its_status(launch):
    assert launch(1, 0, "distill", STATUS="75", REFUSES="1", **SLURM).returncode == 75


@pytest.mark.parametrize("slurm", [{}, SLURM])
def test_what_snakemake_did_not_submit_is_not_requeued(launch, tmp_path, slurm):
    """Outside of Slurm, and inside of an allocation that somebody runs a whole Snakemake, or a notebook, in."""
    done = launch(1, 0, "distill", STATUS="75", submitted=False, **slurm)
    assert done.returncode == 75
    assert done.stdout.endswith("dbot distill: left off, with its state written; start it again to go on\n")
    assert not (tmp_path / "requeued").exists()


def test_the_last_line_is_the_reason(launch):
    done = launch(2, 2, "distill", STATUS="2", LINE="dbot distill: the loss stopped being finite\nTraceback of torchrun", **SLURM)
    assert done.stdout.splitlines()[-1] == "dbot distill: the loss stopped being finite"


def test_a_killed_job_is_told_of_memory(launch):
    done = launch(1, 0, "distill", STATUS="137", **SLURM)
    assert done.returncode == 137
    assert done.stdout.splitlines()[-1] == (
        "dbot distill: was killed (status 137): out of memory? "
        "raise resources.distill.any.memory_gb (or that of its size) in params.yaml from 64"
    )
    # The others of a job whose first process has failed are killed too; that is not about memory.
    done = launch(2, 2, "distill", STATUS="137", LINE="dbot distill: no such file", **SLURM)
    assert done.stdout.splitlines()[-1] == "dbot distill: no such file"


def test_the_log_of_a_running_attempt_outlives_its_removal(launch, tmp_path):
    """Snakemake removes it when it starts the job a second time."""
    (tmp_path / "programs" / "dbot").write_text('#!/bin/bash\necho first; rm job.log; echo "still at work"; exit 2\n')
    launch(1, 0, "distill", **SLURM)
    assert (tmp_path / "job.job41.log").read_text() == "first\nstill at work\n"


def test_jobs_side_by_side_take_different_gpus(launch, tmp_path):
    (tmp_path / "programs" / "dbot").write_text('#!/bin/bash\necho "$CUDA_VISIBLE_DEVICES" > "$1"; sleep 2\n')
    flags = [sys.executable, "-m", "dbot.cluster.launch", "--nodes", "1", "--gpus", "1", "--threads", "1", "--memory-gb", "2"]
    env = {**os.environ, "PATH": f"{tmp_path / 'programs'}:{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": "4,6,7", "TMPDIR": str(tmp_path)}
    running = [subprocess.Popen([*flags, name], cwd=tmp_path, env=env) for name in "abc"]
    assert [each.wait(timeout=60) for each in running] == [0, 0, 0]
    assert sorted((tmp_path / name).read_text().strip() for name in "abc") == ["4", "6", "7"]


def test_signals_reach_the_job_and_launch_outlives_them(launch, tmp_path):
    (tmp_path / "programs" / "dbot").write_text(
        '#!/bin/bash\ntrap "echo asked >> asked" USR1 TERM\ntouch ready\nwhile [ ! -e go ]; do sleep 0.1; done\nexit 75\n'
    )
    flags = [sys.executable, "-m", "dbot.cluster.launch", "--nodes", "1", "--gpus", "0", "--threads", "1", "--memory-gb", "2"]
    env = {**{k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}, "PATH": f"{tmp_path / 'programs'}:{os.environ['PATH']}"}
    job = subprocess.Popen([*flags, "distill"], cwd=tmp_path, env=env, start_new_session=True, stdout=subprocess.PIPE, text=True)
    while not (tmp_path / "ready").exists():
        time.sleep(0.05)
    for number in (signal.SIGUSR1, signal.SIGTERM):
        os.killpg(job.pid, number)
        time.sleep(0.3)
    assert job.poll() is None
    (tmp_path / "go").touch()
    assert job.wait(timeout=30) == 75


def test_wrong_arguments_are_a_line():
    done = subprocess.run([sys.executable, "-m", "dbot.cluster.launch", "distill"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "the following arguments are required: --nodes" in done.stderr
