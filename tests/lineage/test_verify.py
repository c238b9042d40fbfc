"""Whatever is changed behind a cell is found, and named."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dbot.base.errors import UserError
from dbot.cli import main
from dbot.lineage import executions, surroundings
from dbot.lineage import receipt as receipts
from dbot.lineage.executions import execution_of
from dbot.lineage.judge import Judge
from dbot.lineage.receipt import Receipt
from dbot.lineage.verify import Verified, verify
from dbot.params.load import Resolved, load
from dbot.plan import Job
from dbot.tracking.mlflow import sync
from dbot.versioning.keep import keep
from dbot.versioning.pointer import md5
from tests.fakes import PROJECT, RESULTS, FakeProject, sealed_anew

NO_GIT = "git: not checked, this folder is in no repository"


@pytest.fixture
def chain(project: FakeProject) -> list[Job]:
    """A cell and all behind it, from the data on."""
    cell = project.plan.evaluate("B-B", "cls", "0")
    project.run_chain(cell)
    return project.plan.jobs([cell])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_an_untouched_chain_holds(project: FakeProject, chain: list[Job]) -> None:
    assert verify(Judge(), chain) == Verified(receipts=6, files=18, images=4, notes=[NO_GIT])
    assert verify(Judge(), chain, images=False).images == 0


def test_json_says_what_was_compared_or_what_is_wrong(chain: list[Job], capsys: pytest.CaptureFixture[str]) -> None:
    command = ["verify", "B-B/cls", "--skip-mlflow", "--json"]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["matches"], found["receipts"], found["files"], found["images"]) == (True, 6, 18, 4)
    assert NO_GIT in found["notes"]
    path = Path("results/demo/distill/B-B/stage1/student.safetensors")
    flip(path)
    assert main(command) == 2
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["matches"] is False
    assert found["problems"][0].startswith(str(path))
    assert said.err == f"dbot verify: {found['problems'][0]}\n"


@pytest.mark.parametrize(
    "path",
    [
        "results/demo/distill/B-B/stage1/student.safetensors",
        "results/demo/distill/B-B/stage1/metrics.csv",
        "results/demo/finetune/B-B/seed0/receipt.json",
        "results/demo/prepare/digits/manifest.json",
        "results/demo/prepare/digits/samples.tsv",
        "data/digits/train/0/1.png",
    ],
)
def test_one_flipped_bit_is_named(chain: list[Job], path: str, capsys: pytest.CaptureFixture[str]) -> None:
    flip(Path(path))
    assert main(["verify"]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"dbot verify: {path}")
    assert line.count("\n") == 1


def test_a_missing_image_is_named(project: FakeProject, chain: list[Job]) -> None:
    Path("data/digits/val/0/0.png").unlink()
    with pytest.raises(UserError, match=r"data/digits/val/0/0\.png: is missing"):
        verify(Judge(), chain)


def test_data_that_are_not_here_at_all_are_noted(chain: list[Job]) -> None:
    """As where results were restored, or cloned: their manifests are compared, and nothing is said to be wrong."""
    shutil.rmtree("data/digits")
    found = verify(Judge(), chain)
    assert found.images == 0
    (note,) = [note for note in found.notes if note.startswith("data: ")]
    assert "data/digits is not here, so none of its files was compared" in note
    assert "dbot generate" in note


def test_changed_parameters_are_named(project: FakeProject, chain: list[Job], capsys: pytest.CaptureFixture[str]) -> None:
    project.set("label_smoothing: 0.1\n      head_init_std: 0.01", "label_smoothing: 0.2\n      head_init_std: 0.01")
    assert main(["verify", "B-B/cls"]) == 2
    assert "finetune/B-B/seed0/receipt.json: recipe.label_smoothing was 0.1, is now 0.2; run the job again" in capsys.readouterr().err


def test_an_ancestor_that_ran_again_with_the_same_result_changes_nothing(project: FakeProject, chain: list[Job]) -> None:
    job = project.plan.distill("B-B", "1")
    before = job.receipt.read_bytes()
    project.run(job)
    assert job.receipt.read_bytes() == before
    assert verify(Judge(), chain).files == 19, "one execution more"


def test_an_ancestor_with_another_result_is_named(project: FakeProject, chain: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "code_digest", lambda: "0" * 64)
    project.run(project.plan.distill("B-B", "1"))
    with pytest.raises(UserError, match=r"stage2/receipt\.json: distill/B-B/stage1 was \w{12}, is now \w{12}; run the job again"):
        verify(Judge(), chain)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """A project with git, DVC and MLflow in which a cell was made and recorded, whose every record can be spoilt."""
    folder = tmp_path_factory.mktemp("recorded")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in [name for name in os.environ if name.startswith(("MLFLOW_", "DVC_"))]:
            patch.delenv(name)
        shutil.copy(empty_store, folder)
        (folder / "src/dbot").mkdir(parents=True)
        for source in sorted((PROJECT / "src/dbot").rglob("*.py")):
            target = folder / "src/dbot" / source.relative_to(PROJECT / "src/dbot")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
        for name in (".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes((PROJECT / name).read_bytes())
        project = FakeProject(folder)
        git("init", "-q", ".")
        git("add", "src", "params.yaml")
        git("commit", "-qm", "code")
        cell = project.plan.evaluate("B-B", "cls", "0")
        project.run_chain(cell)
        keep(project.plan.jobs([cell]))
        sync(project.plan)
        assert main(["table"]) == 0
    return folder


@pytest.fixture(scope="module")
def parameters(recorded: Path) -> Resolved:
    """Its parameters, read once: none of what is spoilt is in params.yaml."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(recorded)
        return load(Path("params.yaml"))


@pytest.fixture
def spoilable(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in which the test is."""
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "DVC_"))]:
        monkeypatch.delenv(name)
    copy = tmp_path / "copy"
    shutil.copytree(recorded, copy)
    monkeypatch.chdir(copy)
    return copy


def git(*arguments: str) -> None:
    identity = ["-c", "user.name=a person", "-c", "user.email=person@example.org"]
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


def test_what_is_on_record_everywhere_agrees(spoilable: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "1 result of scale demo and all that is behind them match:",
        "  6 receipts, 18 files of jobs, 4 files of data sets",
        "  6 files as DVC has them, 6 executions with the code of their commit in git",
        "  6 runs, 0 rows and 0 models as MLflow has them",
        "  2 files as these receipts give them: table.csv, table.md",
        "  git: 6 of 6 receipts are not as the last commit has them; `git status results` lists them",
        "  MLflow: 1 of 1 rows are not there, or not whole; `dbot sync` completes them",
        "  MLflow's registry: 1 of 1 models are not there; `dbot sync` registers them",
    ]


STAGE2 = "results/demo/distill/B-B/stage2"


def rewritten(path: str, pattern: str, by: str) -> Callable[[], object]:
    """Replaces what a pattern finds first in the one file of a path, which may have a star in it."""

    def spoil() -> None:
        (file,) = Path().glob(path)
        text, count = re.subn(pattern, by, file.read_text(), count=1)
        assert count == 1
        file.write_text(text)

    return spoil


def in_mlflow(statement: str) -> Callable[[], object]:
    """Changes MLflow's database behind its back."""

    def spoil() -> None:
        with sqlite3.connect("mlflow.db") as database:
            assert database.execute(statement).rowcount > 0

    return spoil


def forged() -> None:
    """Another learning rate, with id and seal computed again as a forger would."""
    settings = receipts.read(Path(STAGE2, "receipt.json")).settings
    resealed(f"{STAGE2}/receipt.json", settings={**settings, "recipe": {**settings["recipe"], "mask_ratio": 0.9}})


def elsewhere(**what: object) -> Callable[[], object]:
    """Another story of how the first job was done, sealed anew: MLflow alone knows better."""

    def spoil() -> None:
        path = Path("results/demo/generate/digits/receipt.json")
        executions.write(sealed_anew(execution_of(path, receipts.read(path).id), **what), path)

    return spoil


def without_execution() -> None:
    (execution,) = Path(STAGE2, "executions").iterdir()
    execution.unlink()


def of_another_receipt() -> None:
    """An execution that lies beside a receipt in which it did not end."""
    (ended,) = Path("results/demo/distill/B-B/stage1/executions").iterdir()
    without_execution()
    shutil.copy(ended, f"{STAGE2}/executions")


def swapped(one: str, other: str) -> Callable[[], object]:
    """Two files change places."""

    def spoil() -> None:
        content = Path(one).read_bytes()
        Path(one).write_bytes(Path(other).read_bytes())
        Path(other).write_bytes(content)

    return spoil


def resealed(path: str, **what: object) -> Receipt:
    """A receipt that says something else, with its id computed again, and the seal of an execution that ended in it."""
    before = receipts.read(Path(path))
    after = receipts.make(**{**before.model_dump(exclude={"format", "id"}), **what})
    executions.write(sealed_anew(execution_of(Path(path), before.id), receipt=after.id), Path(path))
    receipts.write(after, Path(path))
    return after


def exchanged() -> None:
    """Another checkpoint, a receipt that fits it, and DVC has both."""
    student = Path(STAGE2, "student.safetensors")
    student.write_bytes(b"another student")
    of = receipts.read(Path(STAGE2, "receipt.json")).artifacts
    resealed(f"{STAGE2}/receipt.json", artifacts={**of, student.name: receipts.artifact_of(student)})
    keep([FakeProject(Path.cwd()).plan.distill("B-B", "2")])


def unlisted() -> None:
    """A receipt that says nothing of a checkpoint, which may then be any."""
    path = Path("results/demo/finetune/B-B/seed0/receipt.json")
    of = receipts.read(path).artifacts
    resealed(str(path), artifacts={name: file for name, file in of.items() if name != "best.safetensors"})


def led_astray() -> None:
    """A receipt whose input is a sound receipt at another place, which nobody would look at."""
    shutil.copytree(STAGE2, "results/demo/distill/B-B/stage2-true")
    path = Path("results/demo/finetune/B-B/seed0/receipt.json")
    start = receipts.read(path).inputs["start"]
    there = start.model_copy(update={"path": "results/demo/distill/B-B/stage2-true/receipt.json"})
    resealed(str(path), inputs={**receipts.read(path).inputs, "start": there})


def of_another_scale() -> None:
    resealed(f"{STAGE2}/receipt.json", scale="paper")


def linked() -> None:
    """A link to a file that can be changed behind everybody's back, and was."""
    shutil.move(f"{STAGE2}/student.safetensors", "student.safetensors")
    Path(STAGE2, "student.safetensors").symlink_to(Path("student.safetensors").resolve())
    flip(Path("student.safetensors"))


def in_the_cache() -> None:
    """A hard link of DVC's, written through."""
    name = "results/demo/distill/B-B/stage2/student.safetensors"
    cached = Path(".dvc/cache/files/md5", md5(Path(name))[:2], md5(Path(name))[2:])
    Path(name).unlink()
    os.link(cached, name)
    cached.chmod(0o644)
    content = bytearray(cached.read_bytes())
    content[-1] ^= 1
    with Path(name).open("r+b") as stream:
        stream.write(content)


EXECUTION = f"{STAGE2}/executions/*.json"
POINTER = f"{STAGE2}/student.safetensors.dvc"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda: flip(Path(STAGE2, "student.safetensors")), "student.safetensors: is not the file on its receipt"),
        (lambda: flip(Path(STAGE2, "metrics.csv")), "metrics.csv: is not the file on its receipt"),
        (lambda: flip(Path("results/demo/evaluate/B-B/cls/seed0/metrics.json")), "metrics.json: is not the file on its receipt"),
        (rewritten(f"{STAGE2}/receipt.json", '"mask_ratio": 0.75', '"mask_ratio": 0.76'), "was changed after it was written"),
        (rewritten(f"{STAGE2}/receipt.json", '"loss": 0.25', '"loss": 0.2'), "was changed after it was written"),
        (rewritten(EXECUTION, '"host": "', '"host": "x'), "was changed after it was written (its seal doesn't match)"),
        (rewritten(EXECUTION, '"seconds": ', '"second": '), ".json: is not an execution"),
        (forged, "stage2/receipt.json: recipe.mask_ratio was 0.9, is now 0.75"),
        (elsewhere(ended="2031-05-06T07:00:00+00:00"), "ended at 2"),
        (elsewhere(device_hours=0.5), "table.csv:2: row B-B says something else"),
        (elsewhere(commit=None), "table.md:3: this line says something else"),
        (without_execution, "stage2/receipt.json: no execution beside it"),
        (of_another_receipt, "stage2/receipt.json: no execution beside it"),
        (rewritten(POINTER, r"md5: \w{4}", "md5: 0000"), "student.safetensors.dvc: names 0000"),
        (rewritten(POINTER, r"size: \d+", "size: 7"), "student.safetensors.dvc: names "),
        (
            rewritten(POINTER, "path: student", "path: teacher"),
            "student.safetensors.dvc: is not what DVC writes (it names teacher.safetensors)",
        ),
        (rewritten(POINTER, r"md5: \w{4}", "md5: zero"), "student.safetensors.dvc: is not what DVC writes"),
        (rewritten(POINTER, "outs:", "out:"), "student.safetensors.dvc: is not what DVC writes"),
        (rewritten(POINTER, "outs:", "outs: ["), "student.safetensors.dvc: is not what DVC writes"),
        (rewritten("data/digits.dvc", r"md5: \w{4}", "md5: 0000"), "data/digits.dvc: names 0000"),
        (rewritten("results/demo/table.csv", r",50\.00,", ",51.00,"), "table.csv:2: row B-B says something else"),
        (rewritten("results/demo/table.md", "50.0", "51.0"), "table.md:"),
        (swapped(f"{STAGE2}/receipt.json", "results/demo/distill/B-B/stage1/receipt.json"), "is the receipt of another job"),
        (
            swapped("results/demo/finetune/B-B/seed0/best.safetensors", "results/demo/finetune/B-B/seed0/last.safetensors"),
            "safetensors: is not the file on its receipt",
        ),
        (exchanged, "finetune/B-B/seed0/receipt.json: distill/B-B/stage2 was "),
        (unlisted, "finetune/B-B/seed0/receipt.json: says nothing of best.safetensors"),
        (led_astray, "start was results/demo/distill/B-B/stage2-true/receipt.json, is now results/demo/distill/B-B/stage2/receipt.json"),
        (of_another_scale, "stage2/receipt.json: is the receipt of another job"),
        (linked, "stage2/student.safetensors: is not the file on its receipt"),
        (in_the_cache, "stage2/student.safetensors: is not the file on its receipt"),
        (in_mlflow("update metrics set value = 0.26 where key = 'result/loss'"), "has metric result/loss = 0.26"),
        (in_mlflow("update metrics set value = 0.31 where key = 'loss' and step = 1"), "has metric loss = 0.31 at epoch 1"),
        (in_mlflow("update metrics set step = 7 where key = 'top1' and step = 1"), "has metric top1 = 12.5 at epoch 7"),
        (
            in_mlflow("update params set value = '0.8' where key = 'recipe.mask_ratio'"),
            "has parameter recipe.mask_ratio = 0.8, the receipt 0.75",
        ),
        (in_mlflow("update tags set value = 'x' where key = 'dbot.receipt'"), "has tag dbot.receipt = x"),
    ],
)
def test_a_record_that_was_changed_is_named(
    spoilable: Path,
    parameters: Resolved,
    spoil: Callable[[], object],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("dbot.commands.verify.load", lambda file, scale: parameters)
    spoil()
    assert main(["verify"]) == 2
    line = capsys.readouterr().err
    assert says in line
    assert line.count("\n") == 1


def test_a_forged_result_has_to_be_forged_everywhere(spoilable: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Metric, receipt, execution and table in accord with one another: MLflow says otherwise; and if it doesn't, the last commit does."""
    git("add", "results")
    git("commit", "-qm", "results")
    path = Path("results/demo/evaluate/B-B/cls/seed0/receipt.json")
    before = receipts.read(path)
    path.with_name("metrics.json").write_text('{"top1": 99.0}')
    artifacts = {**before.artifacts, "metrics.json": receipts.artifact_of(path.with_name("metrics.json"))}
    resealed(str(path), artifacts=artifacts, results={"top1": 99.0, "images": 2})
    assert main(["verify"]) == 2
    assert "table.csv:2: row B-B says something else than the receipts" in capsys.readouterr().err
    assert main(["table"]) == 0
    assert main(["verify"]) == 2
    assert "evaluate/B-B/cls/seed0 " in (said := capsys.readouterr().err)
    assert "result/top1 = 50.0" in said
    in_mlflow("update metrics set value = 99.0 where key = 'result/top1'")()
    in_mlflow(f"update tags set value = '{receipts.read(path).id}' where value = '{before.id}'")()
    assert main(["verify"]) == 0
    assert "git: 1 of 6 receipts are not as the last commit has them" in capsys.readouterr().out


def test_an_edited_page_is_named(spoilable: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report"]) == 0
    assert main(["verify", "--skip-mlflow"]) == 0
    rewritten("results/demo/report.html", "50.0", "52.0")()
    assert main(["verify", "--skip-mlflow"]) == 2
    assert "results/demo/report.html:" in (line := capsys.readouterr().err)
    assert "`dbot report --scale demo` writes it anew" in line
    assert line.count("\n") == 1


def test_a_deleted_run_is_work_for_sync(spoilable: Path, capsys: pytest.CaptureFixture[str]) -> None:
    in_mlflow("update runs set lifecycle_stage = 'deleted' where name = 'B-B evaluate cls seed0'")()
    assert main(["verify"]) == 0
    assert "MLflow: 1 of 6 executions are not there, or not whole; `dbot sync` completes them" in capsys.readouterr().out


TEACHER = {"loss": 0.25, "teacher_sha256": "a" * 64}


def test_a_teacher_that_was_another_file_for_another_row_is_named(
    project: FakeProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for row, digest in (("B-CLIP", "a"), ("H448-CLIP", "b")):
        monkeypatch.setitem(RESULTS, "distill", {**TEACHER, "teacher_sha256": digest * 64})
        project.run_chain(project.plan.evaluate(row, "cls", "0"))
    assert main(["verify", "B-CLIP", "H448-CLIP", "--skip-teachers"]) == 2
    assert "had other weights of its teacher (SHA-256 bbb" in (line := capsys.readouterr().err)
    assert line.count("\n") == 1


def test_a_teacher_that_has_changed_since_is_named(
    project: FakeProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Loaded:
        weights = "a"

        def digest(self) -> str:
            return self.weights * 64

    monkeypatch.setitem(RESULTS, "distill", TEACHER)
    monkeypatch.setattr("dbot.models.teachers.declared.foreign_teacher", lambda declared, final_norm, statistics: Loaded())
    project.run_chain(project.plan.evaluate("B-CLIP", "cls", "0"))
    assert main(["verify", "B-CLIP"]) == 0
    assert "1 teacher from elsewhere, with the weights on the receipts" in capsys.readouterr().out
    monkeypatch.setattr(Loaded, "weights", "b")
    assert main(["verify", "B-CLIP"]) == 2
    assert "distill/B-CLIP/stage1/receipt.json: teacher " in (line := capsys.readouterr().err)
    assert "has other weights by now" in line


def test_other_code_than_that_of_the_commit_is_named(spoilable: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The commit that an execution names is there, and holds something else than what ran."""
    Path("src/dbot/plan.py").write_text("# nothing of what ran\n")
    git("commit", "-qam", "other code")
    other = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    elsewhere(commit=other)()
    assert main(["verify", "--skip-mlflow"]) == 2
    line = capsys.readouterr().err
    assert f".json: names commit {other[:12]} without changes, but the code of results/demo/generate/digits/receipt.json is not" in line


def test_a_commit_that_is_nowhere_is_named(spoilable: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(".git")
    git("init", "-q", ".")
    assert main(["verify", "--skip-mlflow"]) == 2
    assert "which this repository doesn't have" in capsys.readouterr().err


def test_a_shallow_clone_says_what_it_can_t_check(
    spoilable: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    git("add", "results")
    git("commit", "-qm", "results")
    git("clone", "-q", "--depth", "1", f"file://{spoilable}", "../shallow")
    for name in ("data", "results"):
        shutil.copytree(name, f"../shallow/{name}", dirs_exist_ok=True)
    monkeypatch.chdir("../shallow")
    assert main(["verify"]) == 0
    said = capsys.readouterr().out
    assert "git: this clone is shallow and lacks " in said
    assert "MLflow: not checked, there is no mlflow.db here" in said


def test_what_dvc_lacks_is_work_for_record(spoilable: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path(POINTER).unlink()
    assert main(["verify"]) == 0
    assert "DVC: lacks files of 1 of 6 jobs; `dbot record` hands them over" in capsys.readouterr().out


def test_a_run_that_mlflow_lacks_is_work_for_sync(spoilable: Path, capsys: pytest.CaptureFixture[str]) -> None:
    in_mlflow("delete from metrics where key = 'result/loss'")()
    assert main(["verify"]) == 0
    assert "executions are not there, or not whole; `dbot sync` completes them" in capsys.readouterr().out


def test_a_changed_tree_is_on_the_execution(spoilable: Path) -> None:
    """With the digest of what differs, be it changed, removed or new."""
    seen = {surroundings.git_commit()[1]}
    for change in (
        lambda: Path("src/dbot/plan.py").write_text("changed"),
        lambda: Path("src/dbot/plan.py").unlink(),
        lambda: Path("src/dbot/new.py").write_text("new"),
        lambda: Path("params.yaml").write_text("scale: other"),
    ):
        change()
        seen.add(surroundings.git_commit()[1])
    assert None in seen
    assert len(seen) == 5
    Path("notes.txt").write_text("")
    assert surroundings.git_commit()[1] in seen, "beside the code nothing counts"


def test_targets_that_are_nothing_are_one_line(chain: list[Job], capsys: pytest.CaptureFixture[str]) -> None:
    for target in ("B-X/cls", "B-B/top1", "B-B/cls/0", "params.yaml"):
        assert main(["verify", target]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_nothing_measured_is_one_line(project: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify"]) == 2
    assert "no cell of the table has a receipt yet" in capsys.readouterr().err
