"""`dbot record` with a real DVC."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from dbot.lineage.adopt import adoption, outputs
from dbot.lineage.untorn import BEFORE

from dbot.base.errors import UserError
from dbot.cli import main
from dbot.versioning.keep import keep
from dbot.versioning.project import recorded_digests
from tests.fakes import FakeProject

Shell = Callable[..., str]
DVC = (sys.executable, "-m", "dvc")


def test_a_recorded_checkpoint_is_in_the_cache_and_in_the_lock_file(kept: FakeProject) -> None:
    plan = kept.plan
    job = plan.distill("B-B", "1")
    kept.run_chain(job)
    assert main(["record", "--receipt", str(job.receipt), "--output", "recorded.json"]) == 0
    mark = json.loads(Path("recorded.json").read_text())[str(job.receipt)]
    md5 = recorded_digests()[job.folder / "student.safetensors"]
    assert mark["student.safetensors"] == md5
    cached = Path(".dvc/cache/files/md5", md5[:2], md5[2:])
    assert cached.read_bytes() == (job.folder / "student.safetensors").read_bytes()
    assert not list(Path("results").rglob(".gitignore"))
    assert main(["verify", str(job.folder)]) == 0


def test_a_row_of_a_sweep_is_in_the_lock_file_with_its_variant(kept: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    """Its keys lead through a list: `…variants.1`."""
    job = kept.plan.distill("teachers-lite-1", "1")
    kept.run_chain(job)
    keep(kept.plan, [each.receipt for each in kept.plan.jobs([job])])
    assert main(["verify", str(job.folder), "--skip-teachers"]) == 0
    kept.set("{name: lite, title: EfficientNet-Lite0,", "{name: lite, title: another,")
    assert main(["verify", str(job.folder), "--skip-teachers"]) == 2
    assert "was made with scales.demo.overrides.sweeps.teachers.variants.1 = {" in capsys.readouterr().err


def test_without_receipts_it_is_all_that_dvc_lacks_and_that_holds(kept: FakeProject, capsys: pytest.CaptureFixture[str], sh: Shell) -> None:
    """Then `dvc pull` has nothing to say against what lies here: a data set that no lock file knows would stop it."""
    plan = kept.plan
    kept.run_chain(plan.distill("B-B", "1"))
    assert main(["record"]) == 0
    assert {path.split()[2] for path in capsys.readouterr().out.splitlines()} == {
        str(job.receipt) for job in plan.jobs([plan.distill("B-B", "1")])
    }
    sh(*DVC, "checkout", "--allow-missing")
    assert main(["record"]) == 0
    assert capsys.readouterr().out == "nothing: DVC has what every job of scale demo wrote\n"
    later = plan.distill("B-B", "2")
    kept.run(later)
    (plan.distill("B-B", "1").folder / "student.safetensors").write_text("another")
    kept.run(plan.distill("B-B", "1"))
    assert main(["record"]) == 0
    said = capsys.readouterr().out
    assert "DVC keeps results/demo/distill/B-B/stage1/receipt.json" in said
    assert "not handed over  distill/B-B/stage2: results/demo/distill/B-B/stage2/receipt.json: was made from another" in said


def test_a_finished_jobs_state_goes_when_dvc_has_its_artifacts(kept: FakeProject) -> None:
    job = kept.plan.distill("B-B", "1")
    kept.run_chain(job.inputs["data"])
    kept.run(job, keep_state=True)
    assert list(Path("state").rglob("execution.json"))
    assert main(["record", "--receipt", str(job.receipt)]) == 0
    assert not list(Path("state").rglob("execution.json"))


def test_record_refuses_what_the_receipt_does_not_cover(kept: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    job = kept.plan.distill("B-B", "1")
    kept.run_chain(job)
    kept.set("mask_ratio: 0.75", "mask_ratio: 0.5")
    assert main(["record", "--receipt", str(job.receipt)]) == 2
    line = capsys.readouterr().err
    assert "recipe.mask_ratio = 0.75, now it is 0.5" in line
    assert line.count("\n") == 1
    kept.set("mask_ratio: 0.5", "mask_ratio: 0.75")
    (job.folder / "student.safetensors").write_text("another")
    with pytest.raises(UserError, match=r"student\.safetensors: is not the file on its receipt"):
        keep(kept.plan, [job.receipt])
    assert not Path("dvc.lock").exists()


def test_without_git_it_is_one_line(project: FakeProject) -> None:
    job = project.plan.generate("digits")
    project.run(job)
    with pytest.raises(UserError, match="dvc commit failed"):
        keep(project.plan, [job.receipt])


def test_parallel_records_dont_collide(kept: FakeProject) -> None:
    plan = kept.plan
    jobs = [plan.distill("B-B", "1"), plan.distill("L-L", "1")]
    for job in jobs:
        kept.run_chain(job)
    started = [
        subprocess.Popen([sys.executable, "-m", "dbot", "record", "--receipt", str(job.receipt)], stderr=subprocess.PIPE, text=True)
        for job in jobs
    ]
    assert [(process.communicate()[1], process.returncode) for process in started] == [("", 0)] * 2
    assert {job.folder / "student.safetensors" for job in jobs} <= recorded_digests().keys()


@pytest.mark.slow
def test_a_clone_that_pulled_adopts_everything(kept: FakeProject, sh: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plan = kept.plan
    cell = plan.evaluate("B-B", "cls", "0")
    kept.run_chain(cell)
    keep(plan, [job.receipt for job in plan.jobs([cell])])
    sh(*DVC, "remote", "add", "-d", "-q", "here", str(tmp_path / "remote"))
    sh("git", "add", "-A")
    sh("git", "commit", "-q", "-m", "results")
    sh(*DVC, "push", "-q")
    assert "50.0" in sh(*DVC, "metrics", "show")

    clone = tmp_path / "clone"
    sh("git", "clone", "-q", str(kept.folder), str(clone))
    monkeypatch.chdir(clone)
    assert "is missing" in adoption(plan).refused["generate/digits"]
    # Stages that never ran make `dvc pull` complain, after it has brought all that there is.
    subprocess.run([*DVC, "pull", "-q"], capture_output=True, check=False)
    found = adoption(plan)
    assert found.adopted == plan.jobs([cell])
    assert cell.receipt in outputs(plan, found)
    assert all(path.exists() for path in outputs(plan, found))
    assert main(["verify", "B-B/cls"]) == 0


@pytest.mark.slow
def test_dvc_never_starts_a_job(kept: FakeProject, sh: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plan = kept.plan
    job = plan.distill("B-B", "1")
    kept.run_chain(job)
    keep(plan, [each.receipt for each in plan.jobs([job])])
    sh("git", "add", "-A")
    sh("git", "commit", "-q", "-m", "results")
    trap = tmp_path / "bin" / "dbot"
    trap.parent.mkdir()
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    trap.chmod(0o755)
    monkeypatch.setenv("PATH", str(trap.parent), prepend=":")
    weights = (job.folder / "student.safetensors").read_bytes()
    never_ran, ran = "demo-distill-L-L-stage1", "demo-distill-B-B-stage1"
    for command in (
        ["repro"],
        ["repro", "-f"],
        ["repro", "-f", "-s", ran],
        ["repro", "-s", never_ran],
        ["exp", "run"],
        ["exp", "run", "-f"],
    ):
        subprocess.run([*DVC, *command], capture_output=True, check=False)
        assert not (tmp_path / "started").exists(), command
        assert (job.folder / "student.safetensors").read_bytes() == weights, command
    shutil.rmtree(trap.parent)


def test_a_job_that_dvc_starts_refuses(project: FakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_STAGE", "demo-generate-digits")
    with pytest.raises(UserError, match="DVC started this as stage 'demo-generate-digits'"):
        project.run(project.plan.generate("digits"))


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


@pytest.mark.slow
@pytest.mark.faults
def test_a_record_that_was_cut_off_is_made_up_for(kept: FakeProject) -> None:
    """DVC's lock file was left with half of its content; the next record sets it back and adds its own."""
    first, second = kept.plan.generate("digits"), kept.plan.prepare("digits")
    kept.run_chain(second)
    keep(kept.plan, [first.receipt])
    whole = Path("dvc.lock").read_text()
    BEFORE.parent.mkdir(parents=True, exist_ok=True)
    BEFORE.write_text(json.dumps({"dvc.lock": whole}))
    Path("dvc.lock").write_text(whole[: len(whole) // 2])
    keep(kept.plan, [second.receipt])
    assert {job.folder / "receipt.json" for job in (first, second)} <= set(recorded_digests())
