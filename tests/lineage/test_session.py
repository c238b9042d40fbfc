"""The edge of a job, on real receipts over dummy files."""

import errno
import json
import os
import socket
import threading
from pathlib import Path

import pytest

from dbot.base.errors import UserError
from dbot.lineage import receipt as receipts
from dbot.lineage import session as sessions
from dbot.lineage.executions import execution_of
from dbot.lineage.session import Session
from tests.fakes import FakeProject


def test_a_job_started_twice_stops_the_second_time(project: FakeProject) -> None:
    job = project.plan.generate("digits")
    with Session(job) as first:
        running = rf"generate/digits: is running already: process {os.getpid()} on .* \(its state folder .* is locked\); wait for that run"
        with pytest.raises(UserError, match=running), Session(job):
            pass
        assert (first.state / "execution.json").is_file()
    project.run(job)


def test_a_disk_without_room_or_locks_is_no_other_process_to_wait_for(project: FakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setenv("SLURM_JOB_ID", "41")
    monkeypatch.setattr(sessions.fcntl, "flock", refuses)
    with pytest.raises(OSError, match="No locks available"), Session(project.plan.generate("digits")):
        pass


def test_in_a_slurm_job_the_second_waits_for_the_first_and_says_for_whom(
    project: FakeProject, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It may be another attempt at a job whose first one outlived Snakemake; to fail would spend a retry."""
    job = project.plan.generate("digits")
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    with Session(job):
        monkeypatch.setenv("SLURM_JOB_ID", "42")
        waiting = threading.Thread(target=lambda: project.run(job))
        waiting.start()
        waiting.join(2)
        assert waiting.is_alive()
        assert f"is running already: process {os.getpid()} on {socket.gethostname()}, Slurm job 41" in capfd.readouterr().out
    waiting.join(30)
    assert job.receipt.exists()


def test_an_attempt_whose_place_was_taken_writes_nothing(project: FakeProject) -> None:
    """Its node was cut off, and so was its lock on the shared file system; meanwhile another one did the job."""
    job = project.plan.generate("digits")
    with Session(job) as stale:
        (stale.state / "lock").rename(stale.state / "lock-on-a-file-system-that-gave-it-away")
        finished = project.run(job)
        before = {path: path.read_bytes() for path in job.folder.rglob("*") if path.is_file()}
        with pytest.raises(UserError, match=r"another attempt took over while this one was cut off"):
            stale.finish(["files.tsv"], {})
        assert {path: path.read_bytes() for path in job.folder.rglob("*") if path.is_file()} == before
    assert receipts.read(job.receipt) == finished


def test_a_job_reads_the_planned_receipts_however_they_are_named(project: FakeProject) -> None:
    """One of another scale, or a copy, would make a result that the table never takes: that is said before hours of work."""
    project.run(project.plan.generate("digits"))
    job, there = project.plan.prepare("digits"), project.plan.generate("digits").receipt
    with Session(job, {"generated": there.resolve()}) as execution:
        job.folder.mkdir(parents=True)
        receipt, _ = execution.finish([], {})
    assert receipt.inputs["generated"].path == there.as_posix()
    Path("copy.json").write_bytes(there.read_bytes())
    with (
        pytest.raises(UserError, match=r"copy\.json: is not the receipt that this job reads"),
        Session(job, {"generated": Path("copy.json")}),
    ):
        pass


def test_other_processes_of_a_job_take_no_lock_and_write_nothing(project: FakeProject) -> None:
    job = project.plan.generate("digits")
    with Session(job) as first:
        before = {path: path.read_bytes() for path in first.state.iterdir()}
        with Session(job, leads=False):
            pass
        assert {path: path.read_bytes() for path in first.state.iterdir()} == before


def test_a_clock_that_is_set_back_makes_no_time_negative(project: FakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(["2026-01-02T12:00:00+00:00", "2026-01-02T11:00:00+00:00", "2026-01-01T00:00:00+00:00"])
    monkeypatch.setattr(sessions.surroundings, "now", lambda: next(clock))
    job = project.plan.generate("digits")
    with pytest.raises(KeyboardInterrupt):
        project.run(job, lambda execution: (_ for _ in ()).throw(KeyboardInterrupt))
    receipt = project.run(job)
    attempts = execution_of(job.receipt, receipt.id).attempts
    assert [attempt.started[11:13] for attempt in attempts] == ["12", "11"], "in the order in which they were made"
    assert all(attempt.seconds >= 0 for attempt in attempts)
    assert receipts.read(job.receipt) == receipt
    receipt_of_another_time = project.plan.generate("digits")
    assert receipts.read(receipt_of_another_time.receipt).id == receipt.id


@pytest.mark.parametrize("content", ["", '{"name": ', "[]", '{"name": "x", "attempts": [{"started": 1}]}'])
def test_a_damaged_clock_is_begun_anew(project: FakeProject, content: str) -> None:
    job = project.plan.generate("digits")
    with Session(job) as execution:
        pass
    (execution.state / "execution.json").write_text(content)
    assert len(execution_of(job.receipt, project.run(job).id).attempts) == 1


def test_halves_of_files_are_cleared_away(project: FakeProject) -> None:
    job = project.plan.generate("digits")
    job.folder.mkdir(parents=True)
    half = job.folder / ".receipt.json.123.part"
    half.write_text("{")
    project.run(job)
    assert not half.exists()


def test_a_full_disk_at_the_end_does_not_hide_what_went_wrong(project: FakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    def work() -> None:
        with Session(project.plan.generate("digits")):
            monkeypatch.setattr(sessions, "write_whole", full)
            raise UserError("what went wrong")

    with pytest.raises(UserError, match="what went wrong"):
        work()


def test_a_receipt_that_could_not_be_written_loses_nothing(project: FakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    job = project.plan.generate("digits")

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(receipts, "write_whole", full)
        with pytest.raises(OSError, match="No space left"):
            project.run(job)
    (state,) = Path("state").rglob("execution.json")
    name = json.loads(state.read_text())["name"]
    assert not job.receipt.exists()
    assert execution_of(job.receipt, project.run(job).id).name == name, "it goes on as the same execution"


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_file_is_moved_to_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: bool) -> None:
    source, target = tmp_path / "state" / "x", tmp_path / "results" / "x"
    source.parent.mkdir()
    source.write_bytes(b"whole")
    rename = Path.replace

    def other_file_system(self: Path, to: Path) -> Path:
        if self.parent != to.parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, to)

    if elsewhere:
        monkeypatch.setattr(Path, "replace", other_file_system)
    sessions.place(source, target)
    assert target.read_bytes() == b"whole"
    assert not source.exists()
    assert list(target.parent.iterdir()) == [target]
