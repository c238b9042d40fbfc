"""Snakemake's executor for Slurm, which doesn't wait for what can't come, and says why a job failed.

It is `snakemake-executor-plugin-slurm`, with its options under the prefix `--slurm-dbot-`, and differs in three things:

- A job that can never start, that Slurm has forgotten, or that it took off its nodes for good ends with a reason.
  The executor it derives from waits for these without end.
- The reason of a failure is the last line of the job's own log.
- Accounts are neither guessed nor looked up: `sbatch` itself refuses a wrong one, also where `sacct` and `sacctmgr` are missing.

It stands in a package of its own because Snakemake finds executors by the name of their module.
"""

import asyncio
import shlex
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

from snakemake_executor_plugin_slurm import Executor as SlurmExecutor
from snakemake_executor_plugin_slurm import ExecutorSettings, common_settings
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface

from dbot.cluster import slurm
from dbot.cluster.preemption import out_of_memory
from dbot.cluster.slurm import Verdict, Waiting
from dbot.lineage.judge import reason_of_end

__all__ = ["Executor", "ExecutorSettings", "common_settings"]


class Executor(SlurmExecutor):  # type: ignore[misc]
    """Submits jobs with sbatch and waits for them as long as there is something to wait for."""

    def __post_init__(self, test_mode: bool = False) -> None:
        self._waiting = Waiting()
        super().__post_init__(test_mode)

    def get_account_arg(self, job: JobExecutorInterface) -> Generator[str, None, None]:
        """sbatch's option for the account; nothing where the site names none."""
        account = job.resources.get("slurm_account")
        yield f" -A {shlex.quote(str(account))}" if account else ""

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Report the jobs that have ended; those that are worth waiting for come back."""
        left = [info async for info in super().check_active_jobs(active_jobs)]
        answers = await asyncio.to_thread(self._answers) if left else None
        for info in left:
            verdict = Verdict.WAIT if answers is None else self._waiting.judge(info.external_jobid, answers)
            state, reason = (answers or {}).get(info.external_jobid, ("", ""))
            if await asyncio.to_thread(self._goes_on, info, verdict, state, reason):
                yield info

    def _answers(self) -> dict[str, tuple[str, str]] | None:
        """State and reason of this run's jobs, by number; None without an answer."""
        said = slurm.ask("squeue", "--noheader", "--states", "all", "--name", self.run_uuid, "--format", "%i|%T|%r", tries=2)
        if said is None:
            # Nothing printed is an answer too, where the controller can be reached: it has forgotten all of them.
            return {} if "UP" in (slurm.ask("scontrol", "ping", tries=1) or "") else None
        return {number: (state, reason) for number, state, reason in (line.split("|", 2) for line in said.splitlines())}

    def _goes_on(self, info: SubmittedJobInfo, verdict: Verdict, state: str, reason: str) -> bool:
        """Whether a job is waited for any longer; if not, it has been reported."""
        number = info.external_jobid
        match verdict:
            case Verdict.WAIT:
                return True
            case Verdict.HELD:
                self.logger.warning(f"Slurm job {number} is held ({reason}): scontrol release {number}, or scancel {number}")
                return True
            case Verdict.REQUEUE if _is_made(info.job):
                # What Slurm 24.11 calls the end of a job that was taken away once, came back, and ended well.
                self.report_job_success(info)
            case Verdict.REQUEUE:
                if slurm.run("scontrol", "requeue", number) is None:
                    self.logger.info(f"Slurm took job {number} off its nodes ({state}); it is in the queue again, to go on from its state")
                    return True
                self.report_job_error(info, msg=f"Slurm took job {number} off its nodes ({state}), and does not take it back.")
            case Verdict.NEVER:
                slurm.run("scancel", number)
                self.report_job_error(
                    info,
                    msg=f"Slurm job {number} could never have started ({reason}); it is cancelled. It asked for {_asked(info.job)}: "
                    "change `resources` in params.yaml or the partition, QOS or account in site.yaml; `dbot cluster` compares them.",
                )
            case Verdict.GONE:
                if _is_made(info.job):
                    self.logger.warning(f"Slurm has forgotten job {number} (MinJobAge); its outputs are there, so it counts as done")
                    self.report_job_success(info)
                else:
                    self.report_job_error(
                        info,
                        msg=f"Slurm has forgotten job {number}, and its outputs are not there: it ended between two questions, or was "
                        "lost with the controller's state. `dbot cluster` says how long Slurm remembers jobs (MinJobAge).",
                    )
        return False

    def report_job_error(self, info: SubmittedJobInfo, msg: str | None = None, **more: Any) -> None:
        """Report a failure with what the job itself said of it."""
        logs = [Path(str(log)) for log in getattr(info.job, "log", [])]
        if logs and msg is not None and "OUT_OF_MEMORY" in msg and reason_of_end(logs[0]) is None:
            # The kernel has killed whoever could have said it.
            verb = info.job.rule.name.split("_")[0]
            with logs[0].open("a") as log:
                log.write(f"dbot {verb}: was killed: {out_of_memory(verb, info.job.resources.get('mem_mb', 0) / 1000)}\n")
        reasons = [f"{reason} (log: {log})" for log in logs if (reason := reason_of_end(log)) is not None]
        super().report_job_error(info, msg="\n".join([*([msg] if msg else []), *reasons, ""]), **more)


def _is_made(job: JobExecutorInterface) -> bool:
    """Whether all outputs of a job are there; each attempt begins with their removal, and ends with the receipt."""
    return bool(job.output) and all(Path(str(file)).exists() for file in job.output)


def _asked(job: JobExecutorInterface) -> str:
    """What a job asked Slurm for, in words."""
    names = ("nodes", "gpu", "gres", "mem_mb", "runtime", "slurm_partition", "qos", "slurm_account", "constraint")
    found = {name: job.resources.get(name) for name in names}
    return ", ".join(f"{name} {value}" for name, value in {"threads": job.threads, **found}.items() if value not in (None, ""))
