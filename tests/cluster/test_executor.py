"""The executor's answers to what Slurm says of a job, without Slurm: what becomes of it for Snakemake."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_executor_plugin_slurm import Executor as SlurmExecutor

from dbot.cluster import slurm
from dbot.cluster.slurm import Waiting
from snakemake_executor_plugin_slurm_dbot import Executor


class Reports:
    """An executor in the middle of a run, whose reports and commands are noted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.reported: list[str] = []
        self.commands: list[str] = []
        self.answer, self.refusal = "", ""
        self.job = SimpleNamespace(
            output=[folder / "receipt.json"],
            log=[folder / "job.log"],
            threads=4,
            resources={"mem_mb": 64000},
            rule=SimpleNamespace(name="distill"),
        )
        self.info: Any = SimpleNamespace(job=self.job, external_jobid="7", aux={})
        self.executor: Any = Executor.__new__(Executor)
        self.executor._waiting, self.executor.run_uuid = Waiting(), "run"
        said = self.reported.append
        self.executor.logger = SimpleNamespace(warning=said, info=said)
        self.executor.report_job_success = lambda info: said("success")

        async def yields(executor: Any, active: list[Any]) -> Any:
            for info in active:
                yield info

        monkeypatch.setattr(SlurmExecutor, "check_active_jobs", yields)
        monkeypatch.setattr(SlurmExecutor, "report_job_error", lambda executor, info, msg=None, **more: said(f"error: {msg}"))
        monkeypatch.setattr(slurm, "ask", lambda *command, **more: self.answer or None)
        monkeypatch.setattr(slurm, "run", lambda *command, **more: (self.commands.append(" ".join(command)), self.refusal or None)[1])

    def look(self, state: str, reason: str = "None", times: int = 2) -> bool:
        """Whether the job is still waited for after Slurm has given an answer several times."""
        self.answer = f"7|{state}|{reason}"

        async def once() -> bool:
            return [info async for info in self.executor.check_active_jobs([self.info])] == [self.info]

        return [asyncio.run(once()) for _ in range(times)][-1]


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Reports:
    return Reports(monkeypatch, tmp_path)


def test_a_preempted_job_goes_back_into_the_queue(reports: Reports) -> None:
    assert reports.look("PREEMPTED")
    assert reports.commands == ["scontrol requeue 7"]


def test_where_slurm_does_not_take_it_back_it_has_failed(reports: Reports) -> None:
    reports.refusal = "Requested operation is presently disabled"
    assert not reports.look("PREEMPTED")
    assert reports.reported[-1].startswith("error: Slurm took job 7 off its nodes (PREEMPTED), and does not take it back.")


def test_a_job_that_came_back_and_ended_well_is_done_though_slurm_calls_it_preempted(reports: Reports, tmp_path: Path) -> None:
    """Slurm 24.11 does; to requeue it would never end."""
    (tmp_path / "receipt.json").touch()
    assert not reports.look("PREEMPTED")
    assert reports.reported == ["success"]
    assert reports.commands == []


def test_a_job_that_can_never_start_is_cancelled_with_the_reason_and_what_it_asked_for(reports: Reports) -> None:
    assert not reports.look("PENDING", "PartitionTimeLimit")
    assert reports.commands == ["scancel 7"]
    assert "could never have started (PartitionTimeLimit)" in reports.reported[-1]
    assert "threads 4, mem_mb 64000" in reports.reported[-1]


def test_a_forgotten_job_is_done_if_its_outputs_are_there_and_else_an_error(
    reports: Reports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "GONE_SECONDS", 0.0)
    reports.info.external_jobid = "8"
    assert not reports.look("RUNNING")
    assert "Slurm has forgotten job 8, and its outputs are not there" in reports.reported[-1]
    (tmp_path / "receipt.json").touch()
    assert not reports.look("RUNNING")
    assert reports.reported[-1] == "success"


def test_without_an_answer_nothing_is_decided(reports: Reports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "ask", lambda *command, **more: None)
    assert reports.look("PREEMPTED", times=5)
    assert reports.reported == []


def test_an_error_says_what_the_job_itself_said(reports: Reports, tmp_path: Path) -> None:
    (tmp_path / "job.log").write_text("epoch 1\ndbot distill: no such file\n")
    reports.executor.report_job_error(reports.info, msg="SLURM-job '7' failed, SLURM status is: 'FAILED'. ")
    assert f"dbot distill: no such file (log: {tmp_path / 'job.log'})" in reports.reported[-1]


def test_a_job_whose_log_the_kernel_cut_short_is_told_of_memory(reports: Reports, tmp_path: Path) -> None:
    (tmp_path / "job.log").write_text("epoch 1\n")
    reports.executor.report_job_error(reports.info, msg="SLURM-job '7' failed, SLURM status is: 'OUT_OF_MEMORY'. ")
    assert (
        (tmp_path / "job.log")
        .read_text()
        .endswith(
            "dbot distill: was killed: out of memory? raise resources.distill.any.memory_gb (or that of its size) in params.yaml from 64\n"
        )
    )


def test_accounts_are_neither_guessed_nor_looked_up(reports: Reports) -> None:
    def account(**resources: str) -> str:
        return next(reports.executor.get_account_arg(SimpleNamespace(resources=resources)))

    assert account() == ""
    assert account(slurm_account="us & them") == " -A 'us & them'"
