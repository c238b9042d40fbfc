"""`dbot gc` frees what nobody needs, and nothing else, whatever was done before."""

import os
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dbot.base.errors import UserError
from dbot.cli import main
from dbot.lineage import receipt as receipts
from dbot.lineage import surroundings
from dbot.lineage.judge import Judge, check
from dbot.lineage.session import Session
from dbot.lineage.target import plans
from dbot.versioning.gc import CACHE, Free, free
from dbot.versioning.keep import keep
from tests.fakes import FakeProject

Shell = Callable[..., str]
ROWS = ("B-B", "L-L", "H-H")


def found() -> dict[str, str]:
    """By path, why it may go."""
    return {str(each.path): each.why for each in free(plans(Path("params.yaml")))}


def stages(folder: Path, number: int) -> None:
    """Give row B-B another number of stages, in every column."""
    path = folder / "params.yaml"
    path.write_text(
        re.sub(r"(teacher: random-B\n    stages: )\{.*\}", rf"\1{{cls: {number}, det: {number}, seg: {number}}}", path.read_text())
    )


def test_a_finished_jobs_state_goes_when_dvc_has_its_files(kept: FakeProject) -> None:
    job = kept.plan.distill("B-B", "1")
    kept.run_chain(job.inputs["data"])
    states: list[Path] = []
    kept.run(job, lambda execution: states.append(execution.state), keep_state=True)
    content = {path: path.read_bytes() for path in states[0].iterdir()}
    assert found() == {}, "until `dbot record` the state is what a killed workflow goes on from"
    keep([job])
    states[0].mkdir()
    for path, data in content.items():  # as a killed `dbot record` leaves it
        path.write_bytes(data)
    assert found() == {str(states[0]): "its job has ended, and DVC has what it wrote"}
    assert main(["gc", "--delete"]) == 0
    assert not states[0].exists()
    assert check(Judge().of(job))


def test_state_of_other_parameters_goes_and_that_at_work_stays(project: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    job = project.plan.distill("B-B", "1")
    project.run_chain(job.inputs["data"])
    with Session(job) as execution:
        old = execution.state
    assert found() == {}, "the job would go on from it"
    project.set("mask_ratio: 0.75", "mask_ratio: 0.5")
    assert "no job would go on from it" in found()[str(old)]
    with Session(job):
        assert found() == {}, "it is at work"
    with Session(project.plan.distill("B-B", "1")) as execution:
        new = execution.state
    assert main(["gc"]) == 0
    assert old.exists(), "without --delete it only says so"
    assert f"{old}: begun with other parameters" in capsys.readouterr().out
    assert main(["gc", "--delete"]) == 0
    assert not old.exists()
    assert new.exists()
    assert main(["gc"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("nothing: ")


def test_parts_of_killed_processes_go_when_they_are_old(project: FakeProject) -> None:
    job = project.plan.generate("digits")
    project.run(job)
    part = job.folder / ".files.tsv.4711.part"
    part.write_text("half")
    assert found() == {}
    os.utime(part, (time.time() - 7200,) * 2)
    assert found() == {str(part): "was never finished: its process was killed"}


def test_a_receipt_that_nobody_can_read_stops_it(project: FakeProject) -> None:
    job = project.plan.generate("digits")
    project.run(job)
    job.receipt.write_text("{}")
    with pytest.raises(UserError, match="is not a receipt"):
        free(plans(Path("params.yaml")))


def test_results_that_no_plan_names_go_but_not_what_others_were_made_from(project: FakeProject) -> None:
    plan = project.plan
    for stage in ("1", "2", "3"):
        project.run_chain(plan.distill("B-B", stage))
    project.run_chain(plan.evaluate("B-B", "cls", "0"))
    orphan = plan.distill("B-B", "3").folder
    stages(project.folder, 2)
    assert found() == {str(orphan): "no scale of params.yaml has this distill any more"}
    stages(project.folder, 1)
    assert set(found()) == {str(orphan)}, "the cell's receipt was made from stage 2, stale as it is"
    assert main(["gc", "--delete"]) == 0
    assert not orphan.exists()
    assert receipts.read(plan.distill("B-B", "2").receipt)


def needed_objects(sh: Shell) -> set[str]:
    """The objects that are there of those that a `.dvc` file names, here or in any commit."""
    texts = [path.read_text() for path in (*Path("results").rglob("*.dvc"), *Path("data").glob("*.dvc"))]
    for commit in sh("git", "rev-list", "--all").split():
        for name in sh("git", "ls-tree", "-r", "--name-only", commit).splitlines():
            if name.endswith(".dvc"):
                texts.append(sh("git", "show", f"{commit}:{name}"))
    names = {line.split("md5: ")[1] for text in texts for line in text.splitlines() if "md5: " in line}
    return {name for name in names if (CACHE / name[:2] / name[2:]).exists()}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_whatever_was_done_nothing_that_a_receipt_needs_is_freed(
    kept: FakeProject, sh: Shell, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    sh("git", "add", "-A")
    sh("git", "commit", "-qm", "a project")
    for turn in range(4):
        # Another code makes other results of the same jobs.
        monkeypatch.setattr(surroundings, "code_digest", lambda code=f"{turn}" * 64: code)
        job = kept.plan.distill(chance.choice(ROWS), chance.choice(["1", "2"]))  # of two stages at least
        chain = kept.plan.jobs([job])
        for each in chain:
            if not each.receipt.exists() or each is job:
                kept.run(each, keep_state=chance.random() < 0.5)
        if chance.random() < 0.7:
            keep(chain)
            if chance.random() < 0.6:
                sh("git", "add", "-A")
                sh("git", "commit", "-qm", f"turn {turn}", "--allow-empty")
        if chance.random() < 0.4:
            stages(kept.folder, chance.choice([2, 3]))
    before = {path: receipts.read(path) for path in Path("results").rglob("receipt.json")}
    objects = needed_objects(sh)
    freed: list[Free] = free(plans(Path("params.yaml")))
    assert main(["gc", "--delete"]) == 0

    for path, receipt in before.items():
        if path.parent in {each.path for each in freed}:
            continue
        for name, file in receipt.artifacts.items():
            assert receipts.verified(path.parent, name, file)
        for read in receipt.inputs.values():
            assert Path(read.path).exists(), f"{path} was made from it"
    assert needed_objects(sh) == objects
    assert free(plans(Path("params.yaml"))) == []


@pytest.mark.slow
def test_an_object_that_no_commit_names_goes(kept: FakeProject, sh: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    job = kept.plan.distill("B-B", "1")
    kept.run_chain(job)
    keep(kept.plan.jobs([job]))
    first = {path for path in CACHE.glob("*/*") if "student" in path.read_text()}
    monkeypatch.setattr(surroundings, "code_digest", lambda: "0" * 64)
    kept.set("mask_ratio: 0.75", "mask_ratio: 0.5")
    kept.run(kept.plan.distill("B-B", "1"))
    keep([kept.plan.distill("B-B", "1")])
    assert set(found()) == {str(path) for path in first}
    sh("git", "add", "-A")
    assert main(["gc", "--delete"]) == 0
    assert not any(path.exists() for path in first)
    assert main(["verify", str(job.folder), "--skip-mlflow"]) == 0


def test_a_repository_that_gives_no_answer_has_nothing_freed(kept: FakeProject, sh: Shell) -> None:
    """No answer is not "no commit names it": an object is damaged here, and all that commits need would have gone."""
    sh("git", "add", "-A")
    sh("git", "commit", "-qm", "a project")
    tree = sh("git", "rev-parse", "HEAD^{tree}").strip()
    Path(f".git/objects/{tree[:2]}/{tree[2:]}").unlink()
    object_ = CACHE / "ab" / ("c" * 30)
    object_.parent.mkdir(parents=True)
    object_.write_text("of some commit")
    with pytest.raises(UserError, match=r"git rev-list failed: .*; mend the repository \(git fsck\); nothing was freed"):
        free(plans(Path("params.yaml")))
    assert object_.exists()


def an_object() -> Path:
    """An object of DVC's cache that nothing names."""
    path = CACHE / "ab" / ("c" * 30)
    path.parent.mkdir(parents=True)
    path.write_text("of nobody")
    return path


def test_a_project_below_the_root_of_its_repository_frees_objects_too(
    project: FakeProject, sh: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without that repository, or where it has nothing of the project, a line says why they stay."""
    object_ = an_object()
    assert main(["gc"]) == 0
    assert capsys.readouterr().out.startswith(f"{CACHE}: is left alone: no git repository has this project's files")
    sh("git", "init", "-q", "..")
    assert main(["gc", "--delete"]) == 0
    assert "no git repository has this project's files" in capsys.readouterr().out
    sh("git", "add", "params.yaml")
    needed = CACHE / "ab" / ("d" * 30)
    needed.write_text("of a result")
    (project.folder / "results").mkdir(exist_ok=True)
    (project.folder / "results/student.dvc").write_text(f"outs:\n- md5: ab{needed.name}\n  path: student\n")
    sh("git", "add", "results")
    sh("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "a project")
    (project.folder / "results/student.dvc").unlink()
    assert found() == {str(object_): "no .dvc file names it, in no commit"}
    assert main(["gc", "--delete"]) == 0
    assert "left alone" not in capsys.readouterr().out
    assert (object_.exists(), needed.exists()) == (False, True)


def test_half_a_history_frees_no_object_and_a_line_says_so(project: FakeProject, sh: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    object_ = an_object()
    sh("git", "init", "-q", ".")
    sh("git", "add", "params.yaml")
    sh("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "a project")
    Path(".git/shallow").write_text(sh("git", "rev-parse", "HEAD"))
    assert main(["gc", "--delete"]) == 0
    assert "is left alone: git has only a part of the history here (git fetch --unshallow)" in capsys.readouterr().out
    assert object_.exists()
