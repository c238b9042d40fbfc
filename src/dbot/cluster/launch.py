"""Start `dbot` in as many processes as a job has GPUs, on as many nodes as it has, and say at the end what became of it.

    workflow/launch --nodes N --gpus GPUS_PER_NODE --threads CORES_PER_NODE --memory-gb GB [--requeue] VERB ARGUMENTS...

One process is started as it is; several by torchrun; on several nodes by one torchrun on each, started by srun, which meet
at the job's first node. A Slurm job whose training left off ahead of its time limit is put back into the queue under its own
number, so that whoever waits for it (Snakemake) sees no failure.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from argparse import RawTextHelpFormatter
from contextlib import suppress
from pathlib import Path

from dbot.base.errors import UserError
from dbot.base.gpus import LAUNCHED_WITH
from dbot.cluster import slurm
from dbot.cluster.gpus import reserve_gpus
from dbot.cluster.preemption import out_of_memory
from dbot.lineage.surroundings import slurm_job

LEFT_OFF = os.EX_TEMPFAIL
"""Status of a training that has written its state and will go on when it is started again."""
KILLED = 128 + signal.SIGKILL
"""Status of a process that the system has killed, which on Linux means memory more often than anything else."""
PROGRAM = ("--no-python", "--", "dbot")
"""What torchrun starts. Without `--` it takes dbot's `--start` for an abbreviation of an option of its own."""
SECONDS_UNTIL_SLURM_ENDS_THE_ATTEMPT = 600


def main(argv: list[str] | None = None) -> int:
    """Do a job; the status is 0, that of the process that failed first, or 75 for a training that left off."""
    args = _arguments(argv)
    job = slurm_job()
    try:
        command = _command(args, job)
        with Log(job) as log:
            status = _run(command)
            return _ended(args, status, job, log)
    except UserError as error:
        print(*(f"workflow/launch: {problem}" for problem in error.problems), sep="\n", file=sys.stderr)
        return 2


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("workflow/launch", description=__doc__, formatter_class=RawTextHelpFormatter, allow_abbrev=False)
    parser.add_argument("--nodes", type=int, required=True, help="nodes that the job has")
    parser.add_argument("--gpus", type=int, required=True, help="GPUs on each; one process a GPU; 0: one process on the CPU")
    parser.add_argument("--threads", type=int, required=True, help="CPU cores on each")
    parser.add_argument("--memory-gb", type=float, required=True, help="main memory on each, which a job that runs out of it is told")
    parser.add_argument("--requeue", action="store_true", help="this Slurm job was submitted by Snakemake: it may go back into the queue")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="VERB ARGUMENTS...", help="of dbot")
    args = parser.parse_args(argv)
    if not args.command:
        parser.error("which verb of dbot?")
    return args


def _command(args: argparse.Namespace, job: str | None) -> list[str]:
    """The command line to start, with the environment prepared for it."""
    verb = args.command[0]
    os.environ[LAUNCHED_WITH] = str(args.gpus)
    if job is None:
        if args.nodes > 1:
            raise UserError(
                f"{args.nodes} nodes were asked for outside of a Slurm job; run with --profile slurm, "
                f"or set resources.{verb}.any.nodes to 1 in params.yaml"
            )
    else:
        _tell_end(job)
    if args.nodes > 1:
        assert job is not None
        return [*_on_every_node(args, job), *PROGRAM, *args.command]
    reserve_gpus(args.gpus)
    if args.gpus > 1:
        return [*_torchrun(args.gpus), "--standalone", *PROGRAM, *args.command]
    return ["dbot", *args.command]


def _tell_end(job: str) -> None:
    """Let the training know when its allocation ends, where Slurm doesn't: a guess would make it leave off at once, for ever."""
    if os.environ.get("SLURM_JOB_END_TIME", "").isdigit():
        return
    os.environ.pop("SLURM_JOB_END_TIME", None)
    end = slurm.allocation(job).end
    if end is not None:
        os.environ["SLURM_JOB_END_TIME"] = str(int(end))
    else:
        print(
            f"workflow/launch: Slurm does not say when job {job} ends; the job runs without a known end, "
            "and what it does after its last state is done again if it is cut off",
            flush=True,
        )


def _torchrun(gpus: int) -> list[str]:
    return [sys.executable, "-m", "dbot.cluster.torchrun", "--nproc-per-node", f"{max(1, gpus)}", "--max-restarts", "0"]


def _on_every_node(args: argparse.Namespace, job: str) -> list[str]:
    """One torchrun on each of the job's nodes, or on the first of them where an allocation has more than the job needs."""
    named = slurm.allocation(job).nodes
    hosts = (slurm.ask("scontrol", "show", "hostnames", named) or "").split() if named else []
    if len(hosts) < args.nodes:
        raise UserError(
            f"job {job} needs {args.nodes} nodes and Slurm names {len(hosts)} ({named or 'no answer from scontrol and squeue'}); "
            "ask for more, or see that scontrol works where jobs run"
        )
    hosts = hosts[: args.nodes]
    about = slurm.ask("scontrol", "show", "node", hosts[0])
    address = slurm.fields(about or "").get("NodeAddr", hosts[0])
    port = 20000 + int(job) % 20000  # jobs that share a node meet at different ports
    srun = ["srun", "--jobid", job, "--nodes", f"{args.nodes}", "--nodelist", ",".join(hosts), "--ntasks", f"{args.nodes}"]
    srun += ["--ntasks-per-node", "1", "--cpus-per-task", f"{args.threads}", "--kill-on-bad-exit=1"]
    meeting = ["--nnodes", f"{args.nodes}", "--rdzv-backend", "c10d", "--rdzv-endpoint", f"{address}:{port}"]
    attempt = f"{job}-{os.environ.get('SLURM_RESTART_COUNT', 0)}"
    return [*srun, *_torchrun(args.gpus), *meeting, "--rdzv-id", attempt]


def _run(command: list[str]) -> int:
    """Wait for a command to end. It gets the signals of the job itself; whoever waits has to outlive them."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # "leave off": torchrun, which knows nothing of it, inherits that it is ignored
    signal.signal(signal.SIGTERM, lambda *_: None)  # a function is not inherited: the command ends of it unless it knows better
    signal.signal(signal.SIGINT, lambda *_: None)
    status = subprocess.Popen(command, close_fds=False).wait()  # its files hold the locks of the GPUs
    return status if status >= 0 else 128 - status


def _ended(args: argparse.Namespace, status: int, job: str | None, log: "Log") -> int:
    """What follows from the status."""
    # torchrun takes every status but 0 for a failure; a training that left off under it ends with 0, and without its receipt.
    receipt = _receipt(args.command)
    if status == 0 and args.nodes * max(1, args.gpus) > 1 and receipt is not None and not receipt.exists():
        status = LEFT_OFF
    if status == 0:
        return 0
    submitted = job if args.requeue else None
    if submitted is not None and status != LEFT_OFF and slurm.allocation(submitted).preempted:
        print(f"workflow/launch: Slurm takes job {submitted} away for another", flush=True)
        status = LEFT_OFF
    if status == LEFT_OFF:
        log.keep()
        if submitted is None:
            print(f"dbot {args.command[0]}: left off, with its state written; start it again to go on", flush=True)
        elif (refusal := slurm.run("scontrol", "requeue", submitted)) is None:
            print(f"workflow/launch: Slurm job {submitted} is in the queue again, to go on from its state", flush=True)
            time.sleep(SECONDS_UNTIL_SLURM_ENDS_THE_ATTEMPT)
        else:
            print(
                f"dbot {args.command[0]}: left off, with its state written; Slurm does not requeue job {submitted}: {refusal}", flush=True
            )
        return LEFT_OFF
    said = log.read().split("\n")
    reason = last_words(said)
    if reason is None and status == KILLED:
        reason = f"dbot {args.command[0]}: was killed (status {KILLED}): {out_of_memory(args.command[0], args.memory_gb)}"
    if reason is not None and reason != next((line for line in reversed(said) if line.strip()), None):
        print(reason, flush=True)
    return status


def last_words(lines: list[str]) -> str | None:
    """The fullest of a log's lines in which `dbot` itself says why it ended: of several processes the first says most."""
    return max((line for line in lines if re.match(r"dbot \w+: ", line)), key=len, default=None)


def _receipt(command: list[str]) -> Path | None:
    """Where the job's receipt goes, if its command line says so."""
    return Path(command[command.index("--receipt") + 1]) if "--receipt" in command[:-1] else None


class Log:
    """The file that the job's words go to, where they go to a file.

    Snakemake removes the log of a job that it starts again, even while an earlier attempt is still at work on another node.
    In a Slurm job the log has a second name as long as the attempt lasts, so that its words stay.
    """

    def __init__(self, job: str | None) -> None:
        target = Path(os.path.realpath("/proc/self/fd/1"))
        self.path = target if target.is_file() else None
        self.begins = target.stat().st_size if self.path is not None else 0
        self.second = target.with_suffix(f".job{job}.log") if self.path is not None and job is not None else None

    def __enter__(self) -> "Log":
        if self.path is not None and self.second is not None:
            with suppress(OSError):  # worth no error: some file systems have no hard links
                self.second.unlink(missing_ok=True)
                self.second.hardlink_to(self.path)
        return self

    def __exit__(self, *error: object) -> None:
        """The second name goes, unless it is the only one left."""
        with suppress(OSError):
            if self.path is not None and self.second is not None and self.path.samefile(self.second):
                self.second.unlink()

    def read(self) -> str:
        """What this attempt has said."""
        return self._bytes()[self.begins :].decode(errors="replace")

    def keep(self) -> None:
        """Append all of it to the log of earlier attempts: the next one begins with an empty log."""
        if self.path is not None:
            with self.path.with_suffix(".earlier.log").open("ab") as earlier:
                earlier.write(self._bytes())

    def _bytes(self) -> bytes:
        for name in (self.second, self.path):
            if name is not None and name.is_file():
                return name.read_bytes()
        return b""


if __name__ == "__main__":
    sys.exit(main())
