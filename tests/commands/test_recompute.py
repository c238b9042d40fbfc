"""`dbot verify --recompute`: real jobs are done again in a scratch folder, and a receipt that lies is found."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from dbot.base.digest import file_digest
from dbot.cli import main
from dbot.jobs.kind import MEASURED
from dbot.lineage import executions, recompute
from dbot.lineage import receipt as receipts
from dbot.lineage.recompute import Recomputed, Tolerance, is_exact, sample
from dbot.models import checkpoint
from dbot.params.load import load
from dbot.plan import METRICS, Job, Plan
from tests.e2e.project import lay
from tests.fabricated import Project
from tests.fakes import sealed_anew
from tests.params_text import params_text

SHORT = {
    "recipes": {"pretrain": {"asymmetric": {"epochs": 1, "warmup_epochs": 0, "batch_size": 10}}},
    "execution": {"mlflow": False, "device": "cpu"},
}
TOGETHER = ["--skip-mlflow", "--skip-teachers"]


def everything(folder: Path) -> dict[str, str]:
    """Every file of a project, by its digest."""
    return {str(path.relative_to(folder)): file_digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def began(folder: Path, patch: pytest.MonkeyPatch) -> Plan:
    """A project with few images and one short epoch a stage, in a folder that becomes the current one."""
    patch.chdir(folder)
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    text = re.sub(r"train: [1-9]\d*, validation: \d+, clutter: 0.25", "train: 20, validation: 10, clutter: 0.25", params_text())
    document = yaml.safe_load(text)
    lay(document["scales"]["demo"]["overrides"], SHORT)
    Path("params.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return Plan(load(Path("params.yaml"), "demo"))


def done(folder: Path, target: Callable[[Plan], Job]) -> Path:
    """The project once a job, and all behind it, has really been done."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        plan = began(folder, patch)
        for job in plan.jobs([target(plan)]):
            assert main(job.arguments) == 0
    torch.set_num_threads(threads)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stages of a tiny row were distilled."""
    return done(tmp_path_factory.mktemp("trained"), lambda plan: plan.distill("B-B", 2))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set was drawn and prepared."""
    return done(tmp_path_factory.mktemp("prepared"), lambda plan: plan.prepare("digits"))


@pytest.fixture
def project(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the one that is trained, where a test says so, else of the one whose data are prepared, in which the test is."""
    of = "trained" if request.node.get_closest_marker("slow") else "prepared"
    copy = tmp_path / "project"
    shutil.copytree(request.getfixturevalue(of), copy)
    monkeypatch.chdir(copy)
    (tmp_path / "scratch").mkdir()
    return copy


@pytest.fixture
def plan(project: Path) -> Plan:
    return Plan(load(Path("params.yaml"), "demo"))


@pytest.fixture
def student(plan: Plan) -> Job:
    """A first stage of which checkpoint and history are there, though nobody trained it."""
    job = plan.distill("B-B", 1)
    checkpoint.save(job.folder / "student.safetensors", {"weight": torch.arange(1.0, 7.0).reshape(2, 3), "bias": torch.ones(2)}, {})
    pretend = Project(plan)
    pretend.write(job, {"loss": 0.25, "teacher_sha256": "a" * 64}, "cpu", 0.25, curve=True)
    return job


@pytest.fixture
def verify(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Calls `dbot verify`; its status, and what it says on either side."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        place = ["--scratch", str(tmp_path / "scratch")] if "--recompute" in arguments else []
        status = main(["verify", *TOGETHER, *place, *arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def forged(job: Job, **what: Any) -> None:
    """A receipt that says something else, sealed anew, as whoever can write the folder could."""
    before = receipts.read(job.receipt)
    execution = executions.execution_of(job.receipt, before.id)
    after = receipts.make(**{**before.model_dump(exclude={"format", "id"}), **what})
    receipts.write(after, job.receipt)
    executions.write(sealed_anew(execution, receipt=after.id), job.receipt)


@pytest.mark.slow
def test_a_second_stage_and_all_behind_it_give_the_same_bits(
    project: Path, plan: Plan, verify: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    before = everything(project)
    stage2 = plan.distill("B-B", 2)
    status, out, err = verify("--recompute", str(stage2.receipt), "--behind")
    assert status == 0, err
    assert "  4 jobs computed anew:" in out
    for job in plan.jobs([stage2]):
        assert re.search(rf"    {job.name}: \d+ files and findings, the same, bit for bit\n", out), out
    assert everything(project) == before, "nothing here is written"
    assert not list((tmp_path / "scratch").iterdir())


@pytest.mark.slow
def test_a_student_that_another_trained_is_found(
    project: Path, plan: Plan, verify: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    stage2 = plan.distill("B-B", 2)
    path = stage2.folder / "student.safetensors"
    weights, about = checkpoint.load(path)
    name = next(iter(weights))
    checkpoint.save(path, {**weights, name: weights[name] + 1e-6}, about)
    forged(stage2, artifacts={**receipts.read(stage2.receipt).artifacts, path.name: receipts.artifact_of(path)})
    assert verify(str(stage2.receipt))[0] == 0, "the records agree with one another"
    before = everything(project)
    status, _, err = verify("--recompute", str(stage2.receipt))
    assert status == 2
    line = err.splitlines()[-1]
    assert re.search(r"stage2/receipt\.json: computed anew it gives something else: student\.safetensors is another \(SHA-256 \w{12}", line)
    (kept,) = (tmp_path / "scratch").iterdir()
    assert str(kept) in line
    assert (kept / path).is_file()
    assert everything(project) == before


def test_a_sample_is_drawn_with_a_seed_that_is_said(project: Path, plan: Plan, verify: Callable[..., tuple[int, str, str]]) -> None:
    prepared = plan.prepare("digits")
    status, out, err = verify(str(prepared.receipt), "--recompute", "1", "--seed", "3")
    assert status == 0, err
    (chosen,) = sample(plan.jobs([prepared]), 1, 3)
    assert "  1 job computed anew, drawn with --seed 3:\n" in out
    assert f"    {chosen.name}: " in out


def test_what_a_set_counts_is_counted_again(project: Path, plan: Plan, verify: Callable[..., tuple[int, str, str]]) -> None:
    prepared = plan.prepare("digits")
    said = receipts.read(prepared.receipt).results
    assert said["classes"] == 10
    forged(prepared, results={**said, "classes": 11})
    status, out, err = verify("--recompute", str(prepared.receipt), "--skip-images", "--json")
    assert status == 2
    assert "prepare/digits/receipt.json: computed anew it gives something else: classes is 10, on the receipt 11" in err
    assert json.loads(out)["problems"][0] in err


def test_a_sample_is_as_likely_of_each_and_repeatable(plan: Plan) -> None:
    jobs = plan.jobs([plan.distill("B-B", 2)])
    assert len(jobs) == 4
    assert [job.name for job in sample(jobs, 2, 5)] == [job.name for job in sample(jobs[::-1], 2, 5)][::-1]
    assert {sample(jobs, 1, seed)[0].name for seed in range(40)} == {job.name for job in jobs}
    assert sample(jobs, 9, 0) == jobs


def test_where_it_cannot_be_done_is_one_line(plan: Plan, student: Job, verify: Callable[..., tuple[int, str, str]]) -> None:
    prepared, stage1 = plan.prepare("digits"), student
    assert "must be a folder outside of the project" in verify("--recompute", str(prepared.receipt), "--scratch", "results")[2]
    forged(stage1, device="NVIDIA H100 80GB HBM3")
    status, _, err = verify("--recompute", str(stage1.receipt))
    assert status == 2
    assert "was computed on NVIDIA H100 80GB HBM3, and this machine would compute on cpu" in err.splitlines()[-1]
    forged(stage1, device="cpu", processes=8)
    assert "was computed by 8 processes, and 1 would do it now" in verify("--recompute", str(stage1.receipt))[2]


@pytest.mark.parametrize(
    ("device", "settings", "exact"),
    [
        ("cpu", {}, True),
        ("NVIDIA H200", {"recipe": {"deterministic": True}}, True),
        ("NVIDIA H200", {"recipe": {"deterministic": False}}, False),
        ("NVIDIA H200", {}, False),
    ],
)
def test_bits_are_asked_for_where_the_receipt_promises_them(plan: Plan, device: str, settings: dict[str, Any], exact: bool) -> None:
    receipt = receipts.read(plan.prepare("digits").receipt).model_copy(update={"device": device, "settings": settings})
    assert is_exact(receipt) is exact


@pytest.fixture
def near(student: Job, tmp_path: Path) -> Callable[..., Recomputed]:
    """Compares stage 1 with a copy of it in which numbers were changed, as if a GPU had computed both."""

    def compare(weights: float = 0.0, loss: float = 0.0, **results: Any) -> Recomputed:
        job, scratch = student, tmp_path / "again"
        shutil.copytree(job.folder, scratch / job.folder, dirs_exist_ok=True)
        folder = scratch / job.folder
        tensors, about = checkpoint.load(folder / "student.safetensors")
        checkpoint.save(folder / "student.safetensors", {name: tensor * (1 + weights) for name, tensor in tensors.items()}, about)
        lines = (folder / METRICS).read_text().splitlines()
        heads, last = lines[0].split(","), lines[-1].split(",")
        last[heads.index("loss")] = repr(float(last[heads.index("loss")]) * (1 + loss))
        (folder / METRICS).write_text("\n".join([*lines[:-1], ",".join(last)]) + "\n")
        recorded = receipts.read(job.receipt)
        artifacts = {name: receipts.artifact_of(folder / name) for name in recorded.artifacts}
        made = recorded.model_copy(update={"artifacts": artifacts, "results": {**recorded.results, **results}})
        found = Recomputed(job.name, exact=False)
        recompute._compare_numbers(job, recorded, made, scratch, Tolerance(findings=0.05, weights=0.1), found)
        return found

    return compare


def test_within_a_tolerance_is_said_how_far(near: Callable[..., Recomputed]) -> None:
    assert near().differences == []
    found = near(weights=0.05, loss=0.01)
    assert found.differences == []
    assert found.farthest["weights"] == pytest.approx(0.05, rel=1e-3)
    assert found.farthest["findings"] == pytest.approx(0.01 / 1.01, rel=1e-3)


def test_beyond_a_tolerance_is_a_difference(near: Callable[..., Recomputed]) -> None:
    (line,) = near(weights=0.2).differences
    assert line == "student.safetensors is 0.2 of its norm away from the one on record"
    (line,) = near(loss=0.2).differences
    assert re.fullmatch(r"metrics\.csv: loss is [\d.]+, on record [\d.]+, which is 0\.17 apart", line)
    (line,) = near(teacher_sha256="0" * 64).differences
    assert line.startswith("teacher_sha256 is 000000000000, on record ")


def test_counts_and_missing_numbers_are_compared_exactly() -> None:
    found = Recomputed("a job", exact=False)
    was, now = (
        {"images": 1000, "ap": None, "top1": 50.0, "loss": float("nan")},
        {"images": 1001, "ap": 1.0, "top1": 50.1, "loss": float("nan")},
    )
    recompute._near(MEASURED, was, now, Tolerance(), found)
    assert found.differences == ["metrics.json: ap is 1.0, on record missing", "metrics.json: images is 1001, on record 1000"]
    found = Recomputed("a job", exact=False)
    recompute._near("", {"top1": 50.0}, {"top1": float("nan")}, Tolerance(), found)
    assert len(found.differences) == 1, "what is not a number is near to none"


def test_a_picture_is_not_asked_for_where_none_is_on_record(plan: Plan, student: Job) -> None:
    """Receipts from before there were pictures hold; one that names a picture has it compared."""
    recorded, (picture,) = receipts.read(student.receipt), student.kind.pictures
    without = recorded.model_copy(update={"artifacts": {name: of for name, of in recorded.artifacts.items() if name != picture}})
    another = recorded.model_copy(update={"artifacts": {**recorded.artifacts, picture: receipts.artifact_of(student.receipt)}})
    for was, now, differences in ((without, recorded, 0), (recorded, recorded, 0), (recorded, another, 1), (recorded, without, 1)):
        found = Recomputed(student.name, exact=True)
        recompute._compare_bits(student, was, now, found)
        assert len(found.differences) == differences


def test_a_picture_that_did_not_come_along_is_not_missed(student: Job, near: Callable[..., Recomputed]) -> None:
    near()
    (picture,) = student.kind.pictures
    (student.folder / picture).unlink()
    assert near().differences == []


def test_a_cell_that_is_not_there_is_one_line(verify: Callable[..., tuple[int, str, str]]) -> None:
    status, _, err = verify("--recompute", "B-C/cls")
    assert (status, err.count("\n")) == (2, 1)
    assert "B-C/cls: is neither a file nor a cell" in err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--behind"], "--behind says how jobs are done again, and none are"),
        (["--recompute", "B-B/cls", "--seed", "1"], "--seed draws jobs, and none are drawn"),
        (["--recompute", "2", "--behind"], "--behind is of a cell"),
        (["--recompute", "0"], "--recompute is 0"),
        (["--recompute", "1", "--tolerance", "-1"], "--tolerance is -1: must be at least 0"),
        (["--recompute", "1", "--weights-tolerance", "nan"], "--weights-tolerance is nan: must be at least 0"),
    ],
)
def test_flags_that_would_do_nothing_are_refused(flags: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", *flags]) == 2
    assert said in capsys.readouterr().err


def test_links_lead_to_no_folder_that_a_job_writes(project: Path, plan: Plan, tmp_path: Path) -> None:
    Path("data/released").mkdir()
    Path("data/released/a.pth").touch()
    Path("data/prepared/demo/digits").mkdir(parents=True)
    scratch = tmp_path / "scratch"
    recompute._lay(plan, plan.generate("digits"), scratch)
    assert not (scratch / "data/digits").exists(), "it is drawn again"
    for folder in (scratch / "data", scratch / "data/released", scratch / "data/prepared/demo"):
        assert folder.is_dir()
        assert not folder.is_symlink()
    assert (scratch / "data/released/a.pth").is_symlink()
    assert (scratch / "data/prepared/demo/digits").is_symlink()
    assert not (scratch / "state").exists()
    assert json.dumps(sorted(path.name for path in scratch.iterdir())) == '["data", "params.yaml"]'


def test_the_smaller_copy_of_a_set_stays_as_it_is(project: Path, plan: Plan, tmp_path: Path) -> None:
    Path("data/prepared/demo/digits").mkdir(parents=True)
    scratch = tmp_path / "scratch"
    recompute._lay(plan, plan.prepare("digits"), scratch)
    assert (scratch / "data/digits").is_symlink(), "it is read"
    assert (scratch / "data/prepared/demo").is_dir()
    assert not (scratch / "data/prepared/demo").is_symlink()
    assert not (scratch / "data/prepared/demo/digits").exists(), "it is written"
