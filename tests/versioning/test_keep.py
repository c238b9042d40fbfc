"""What jobs wrote is handed to a real DVC, and had back from it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import yaml

from dbot.base.errors import UserError
from dbot.cli import main
from dbot.lineage.judge import Judge, State
from dbot.plan import Job
from dbot.versioning import keep as keeping
from dbot.versioning.dvc_yaml import FILE, project_text
from dbot.versioning.keep import keep, restore
from dbot.versioning.pointer import check_kept, is_kept, kept_by, look, md5, pointer_path, read_pointer
from tests.fakes import HISTORY, FakeProject

Shell = Callable[..., str]
DVC = (sys.executable, "-m", "dvc")
CACHE = Path(".dvc/cache/files/md5")


def cached(path: Path) -> Path:
    """Where DVC's cache has what lies at a path."""
    digest = md5(path)
    return CACHE / digest[:2] / digest[2:]


@pytest.fixture
def student(kept: FakeProject) -> Job:
    """A stage that was trained, and nothing was handed over yet."""
    job = kept.plan.distill("B-B", "1")
    kept.run_chain(job)
    return job


def test_a_kept_file_is_in_the_cache_and_has_its_dvc_file(kept: FakeProject, student: Job, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", "--receipt", str(student.receipt)]) == 0
    path = student.folder / "student.safetensors"
    assert capsys.readouterr().out == f"DVC keeps {path}, by {path}.dvc\n"
    assert yaml.safe_load(pointer_path(path).read_text()) == {
        "outs": [{"md5": md5(path), "size": path.stat().st_size, "hash": "md5", "path": path.name}]
    }
    assert cached(path).read_bytes() == path.read_bytes()
    assert not path.is_symlink()
    assert os.access(path, os.W_OK)
    assert not list(Path("results").rglob(".gitignore"))
    assert main(["verify", str(student.folder)]) == 0


def test_what_git_is_too_small_for_is_ignored_and_its_dvc_file_is_not(kept: FakeProject, student: Job, sh: Shell) -> None:
    keep(kept.plan.jobs([student]))
    sh("git", "add", "-A")
    tracked = {Path(name) for name in sh("git", "ls-files").splitlines()}
    large = [path for job in kept.plan.jobs([student]) for path in kept_by(job)]
    assert {path.name for path in large} == {"files.tsv", "samples.tsv", "student.safetensors", "digits"}
    for path in large:
        assert pointer_path(path) in tracked
        assert not any(each.is_relative_to(path) for each in tracked)
    assert {student.receipt, student.folder / "metrics.csv"} <= tracked


def test_handed_over_twice_the_second_time_does_nothing(
    kept: FakeProject, student: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = kept.plan.jobs([student])
    assert set(keep(jobs)) == {path for job in jobs for path in kept_by(job)}
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*.dvc")}

    def started() -> None:
        raise AssertionError("DVC was started for nothing")

    monkeypatch.setattr(keeping, "_dvc", started)
    assert keep(jobs) == []
    assert main(["record"]) == 0
    assert capsys.readouterr().out == "nothing: DVC has the files of every job of scale demo\n"
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*.dvc")} == before


def test_the_same_result_made_anew_is_kept_already(kept: FakeProject, student: Job) -> None:
    keep([student])
    kept.run(student)
    assert keep([student]) == []


def test_another_result_gets_another_dvc_file(kept: FakeProject, student: Job) -> None:
    keep(kept.plan.jobs([student]))
    kept.set("mask_ratio: 0.75", "mask_ratio: 0.5")
    job, path = kept.plan.distill("B-B", "1"), student.folder / "student.safetensors"
    before = read_pointer(path)
    kept.run(job)
    assert not is_kept(path)
    assert keep([job]) == [path]
    assert read_pointer(path) == look(path) != before


def test_without_receipts_it_is_all_that_dvc_lacks_and_that_holds(
    kept: FakeProject, student: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    later = kept.plan.distill("B-B", "2")
    kept.run(later)
    (later.folder / "student.safetensors").write_text("another")
    assert main(["record"]) == 0
    said = capsys.readouterr().out.splitlines()
    large = [path for job in kept.plan.jobs([student]) for path in kept_by(job)]
    assert {line for line in said if line.startswith("DVC keeps")} == {f"DVC keeps {path}, by {path}.dvc" for path in large}
    (refused,) = (line for line in said if not line.startswith("DVC keeps"))
    assert refused.startswith(f"not handed over  distill/B-B/stage2: {later.folder}/student.safetensors: is not the file on its receipt")


def test_a_finished_jobs_state_goes_when_dvc_has_its_files(kept: FakeProject) -> None:
    job = kept.plan.distill("B-B", "1")
    kept.run_chain(job.inputs["data"])
    kept.run(job, keep_state=True)
    assert list(Path("state").rglob("execution.json"))
    assert main(["record", "--receipt", str(job.receipt)]) == 0
    assert not list(Path("state").rglob("execution.json"))


def test_what_the_receipt_does_not_cover_is_refused(kept: FakeProject, student: Job, capsys: pytest.CaptureFixture[str]) -> None:
    kept.set("mask_ratio: 0.75", "mask_ratio: 0.5")
    assert main(["record", "--receipt", str(student.receipt)]) == 2
    line = capsys.readouterr().err
    assert "recipe.mask_ratio was 0.75, is now 0.5" in line
    assert line.count("\n") == 1
    kept.set("mask_ratio: 0.5", "mask_ratio: 0.75")
    (student.folder / "student.safetensors").write_text("another")
    with pytest.raises(UserError, match=r"student\.safetensors: is not the file on its receipt"):
        keep([kept.plan.distill("B-B", "1")])
    assert not list(Path().rglob("*.safetensors.dvc"))


def test_without_git_it_is_one_line(project: FakeProject) -> None:
    job = project.plan.generate("digits")
    project.run(job)
    with pytest.raises(UserError, match="DVC failed: ") as caught:
        keep([job])
    assert "\n" not in str(caught.value)


def test_two_processes_at_once_do_not_collide(kept: FakeProject) -> None:
    jobs = [kept.plan.distill("B-B", "1"), kept.plan.distill("L-L", "1")]
    for job in jobs:
        kept.run_chain(job)
    # The data set is for both of them to hand over.
    command = [sys.executable, "-m", "dbot", "record", "--receipt", str(kept.plan.generate("digits").receipt)]
    started = [subprocess.Popen([*command, str(job.receipt)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for job in jobs]
    assert [(process.communicate()[1], process.returncode) for process in started] == [("", 0)] * 2
    for job in (*jobs, kept.plan.generate("digits")):
        for path in kept_by(job):
            assert read_pointer(path) == look(path)


@pytest.mark.parametrize("name", ["_add", "write_whole"])
def test_a_record_that_is_killed_leaves_whole_files_and_is_made_up_for(kept: FakeProject, student: Job, name: str) -> None:
    """Before the second file is handed over, and when DVC has it but its `.dvc` file is not written."""
    jobs = kept.plan.jobs([student])
    work, calls = getattr(keeping, name), []

    def killed(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        work(*arguments)

    if (child := os.fork()) == 0:
        setattr(keeping, name, killed)
        keep(jobs)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    large = [path for job in jobs for path in kept_by(job)]
    assert [read_pointer(path) is not None for path in large] == [True] + [False] * (len(large) - 1)
    assert set(keep(jobs)) == set(large[1:])
    assert all(read_pointer(path) == look(path) for path in large)


def test_missing_and_damaged_files_are_had_back(kept: FakeProject, student: Job) -> None:
    jobs = kept.plan.jobs([student])
    large = [path for job in jobs for path in kept_by(job)]
    keep(jobs)
    content = {path: path.read_bytes() for path in large if path.is_file()}
    (student.folder / "student.safetensors").unlink()
    samples = kept.plan.prepare("digits").folder / "samples.tsv"
    samples.write_bytes(samples.read_bytes()[:-1] + b"x")
    shutil.rmtree("data/digits")
    judge = Judge()
    assert [judge.of(job).own for job in jobs] == [State.ABSENT, State.BROKEN, State.ABSENT]
    assert set(restore(judge, jobs)) == {Path("data/digits"), samples, student.folder / "student.safetensors"}
    assert {path: path.read_bytes() for path in content} == content
    assert {Judge().of(job).own for job in jobs} == {State.BUILT}
    assert sum(check_kept(job) for job in jobs) == len(content)
    assert restore(Judge(), jobs) == []


def test_what_only_a_remote_has_is_left_to_dvc_pull(kept: FakeProject, student: Job) -> None:
    keep([student])
    path = student.folder / "student.safetensors"
    cached(path).unlink()
    path.unlink()
    assert restore(Judge(), [student]) == []
    assert f"`dvc pull {path}` brings it" in Judge().of(student).reason


@pytest.mark.slow
def test_the_commands_of_dvc_work_on_a_project_that_is_half_done(kept: FakeProject, sh: Shell, tmp_path: Path) -> None:
    cell = kept.plan.evaluate("B-B", "cls", "0")
    kept.run_chain(cell)
    FILE.write_text(project_text(kept.plan))
    jobs = kept.plan.jobs([cell])
    keep(jobs)
    assert sh(*DVC, "status").strip().endswith("up to date.")
    path = kept.plan.distill("B-B", "1").folder / "student.safetensors"
    content = path.read_bytes()
    path.unlink()
    sh(*DVC, "checkout", str(path))
    assert path.read_bytes() == content
    assert "50.0" in sh(*DVC, "metrics", "show")
    sh(*DVC, "plots", "show")
    page = Path("dvc_plots/index.html").read_text()
    assert "pre-training" in page
    assert str(HISTORY[-1]["loss"]) in page

    sh(*DVC, "remote", "add", "-d", "-q", "here", str(tmp_path / "remote"))
    sh("git", "add", "-A")
    sh("git", "commit", "-q", "-m", "results")
    sh(*DVC, "push", "-q")
    clone = tmp_path / "clone"
    sh("git", "clone", "-q", str(kept.folder), str(clone))
    with chdir(clone):
        judge = Judge()
        assert {judge.of(job).state for job in jobs if kept_by(job)} == {State.ABSENT}
        sh(*DVC, "pull", "-q")
        judge = Judge()
        assert {judge.of(job).state for job in jobs} == {State.BUILT}
        assert main(["verify", "B-B/cls"]) == 0


@pytest.mark.slow
@pytest.mark.faults
def test_a_remote_that_is_gone_is_nobodys_business_but_dvc_pushs(kept: FakeProject, sh: Shell) -> None:
    job = kept.plan.generate("digits")
    kept.run_chain(job)
    sh(*DVC, "remote", "add", "-d", "store", "ssh://127.0.0.1:9/store")
    assert main(["record", "--receipt", str(job.receipt)]) == 0
    done = subprocess.run([*DVC, "push"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert main(["verify", str(job.folder)]) == 0
