"""What was published is restored elsewhere, whole; whatever is wrong with it is named, and then nothing is restored."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dbot.base.digest import file_digest
from dbot.cli import main
from dbot.lineage import signature
from dbot.lineage.judge import Judge, State
from dbot.plan import RESULTS, Plan
from dbot.publish import bundle as bundles
from dbot.publish import restore as restoring
from dbot.publish.bundle import INDEX, write_zips
from dbot.publish.restore import STAGE
from dbot.versioning.pointer import is_kept
from tests.fakes import FakeProject
from tests.publish.published import ROWS
from tests.workflow.conftest import snakemake

STUDENT = "results/demo/distill/B-B/stage2/student.safetensors"
RECEIPT = "results/demo/distill/B-B/stage2/receipt.json"
MANIFEST = "results/demo/prepare/digits/samples.tsv"
Say = pytest.CaptureFixture[str]


def execution(bundle: Path) -> str:
    (path,) = (bundle / "results/demo/finetune/B-B/seed0/executions").glob("*.json")
    return path.relative_to(bundle).as_posix()


def flip(path: Path) -> None:
    """Another byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def seal_anew(bundle: Path) -> None:
    """What somebody does who wants a change to go unnoticed."""
    old = bundles.read(bundle)
    bundles.describe(bundle, old.scale, old.targets, old.doi)


def sign(bundle: Path, key: Path) -> None:
    """Have somebody sign a receipt of a bundle, whom the project in the current folder allows to."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
    signature.sign([bundle / RECEIPT], str(key))
    seal_anew(bundle)
    Path("allowed_signers").write_text(f"alice@example.org {key.with_suffix('.pub').read_text()}")


def refused(bundle: Path, say: Say) -> str:
    """What is said of a bundle that can't be restored, in one line; nothing of it is here."""
    assert main(["restore", str(bundle)]) == 2
    said = say.readouterr().err
    assert said.count("\n") == 1
    assert not RESULTS.exists(), "nothing was restored"
    assert not Path("logs").exists()
    return said


def test_all_of_it_is_in_place_and_holds(bundle: Path, elsewhere: FakeProject, finished: FakeProject, capsys: Say) -> None:
    assert main(["restore", str(bundle)]) == 0
    assert "evaluate/L-L/cls/seed0" in capsys.readouterr().out
    plan, judge = elsewhere.plan, Judge()
    cells = [plan.evaluate(row, "cls", "0") for row in ROWS]
    assert judge.to_do(plan, cells) == [], "nothing has to run"
    assert {judge.of(cell).state for cell in cells} == {State.BUILT}
    for job in plan.jobs(cells):
        for path in (job.receipt, job.log, *(job.folder / name for name in job.artifacts)):
            assert path.read_bytes() == (finished.folder / path).read_bytes()
    assert is_kept(Path(STUDENT)), "DVC has the checkpoints"
    assert not (RESULTS / "demo" / STAGE).exists()
    assert not Path("data").exists(), "data are not published"
    assert main(["verify", *ROWS, "--skip-mlflow"]) == 0
    said = capsys.readouterr().out
    assert "2 results of scale demo and all that is behind them match" in said
    assert "data: data/digits is not here" in said
    before = {path: path.stat().st_mtime_ns for path in RESULTS.rglob("*") if path.is_file()}
    assert main(["restore", str(bundle)]) == 0
    assert "restored 0 jobs" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in RESULTS.rglob("*") if path.is_file()} == before


def test_snakemake_has_nothing_to_do_for_restored_cells(bundle: Path, elsewhere: FakeProject) -> None:
    receipts = [elsewhere.plan.evaluate(row, "cls", "0").receipt.as_posix() for row in ROWS]
    dry = ("--dry-run", "--config", "scale=demo", "--", *receipts)
    assert "evaluate" in snakemake(elsewhere.folder, *dry).stdout
    assert main(["restore", str(bundle)]) == 0
    done = snakemake(elsewhere.folder, *dry)
    assert done.returncode == 0, done.stdout
    assert "Nothing to be done" in done.stdout


def test_a_zip_and_several_zips_are_restored_too(bundle: Path, elsewhere: FakeProject, tmp_path: Path, capsys: Say) -> None:
    (one,) = write_zips(bundle, tmp_path / "one.zip")
    several = write_zips(bundle, tmp_path / "part.zip", limit=400_000)
    assert len(several) > 2
    again = write_zips(shutil.copytree(bundle, tmp_path / "copy"), tmp_path / "two.zip")
    assert file_digest(one) == file_digest(again[0]), "the same bundle gives the same bytes"
    for path in (one, several[1]):
        assert main(["restore", str(path)]) == 0
        assert file_digest(Path(STUDENT)) == file_digest(bundle / STUDENT)
        shutil.rmtree(RESULTS)
        shutil.rmtree("logs")
    several[0].unlink()
    assert f"{several[0]}: is missing" in refused(several[1], capsys)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH")
@pytest.mark.parametrize("what", ["checkpoint", "receipt", "execution", "signature", "manifest"])
def test_a_wrong_byte_is_named_with_and_without_a_seal_that_fits_and_in_place(
    bundle: Path, elsewhere: FakeProject, what: str, tmp_path: Path, capsys: Say
) -> None:
    sign(bundle, tmp_path / "key")
    others = {"checkpoint": STUDENT, "receipt": RECEIPT, "signature": RECEIPT + signature.SUFFIX, "manifest": MANIFEST}
    name = execution(bundle) if what == "execution" else others[what]
    wrong = Path(shutil.copytree(bundle, tmp_path / "wrong"))
    flip(wrong / name)
    assert f"{wrong / name}: is not the file that was published (SHA-256 differs)" in refused(wrong, capsys)
    seal_anew(wrong)
    assert f"{name}: " in refused(wrong, capsys)
    assert main(["restore", str(bundle)]) == 0
    verify = ["verify", *ROWS, "--skip-mlflow"]
    assert main(verify) == 0
    assert "1 receipt signed by alice@example.org" in capsys.readouterr().out
    flip(Path(name))
    assert main(verify) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"dbot verify: {name}: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", ["README.md", "model.safetensors", "logs/demo/distill/B-B/stage2.log", "report.html"])
def test_a_wrong_byte_of_what_is_made_of_them_is_named(bundle: Path, elsewhere: FakeProject, name: str, capsys: Say) -> None:
    flip(bundle / name)
    assert f"{bundle / name}: is not the file that was published (SHA-256 differs)" in refused(bundle, capsys)


def test_a_changed_index_is_named(bundle: Path, elsewhere: FakeProject, capsys: Say) -> None:
    text = (bundle / INDEX).read_text()
    (bundle / INDEX).write_text(text.replace('"scale": "demo"', '"scale": "dem0"'))
    assert f"{bundle / INDEX}: was changed after it was written" in refused(bundle, capsys)
    (bundle / INDEX).unlink()
    assert f"is no bundle, it holds no {INDEX}" in refused(bundle, capsys)


@pytest.mark.parametrize("what", ["bundle", "receipt", "execution"])
def test_a_newer_format_is_named(bundle: Path, elsewhere: FakeProject, what: str, capsys: Say) -> None:
    path = bundle / {"bundle": INDEX, "receipt": RECEIPT, "execution": execution(bundle)}[what]
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "format": f"dbot {what} 9"}))
    if what != "bundle":
        seal_anew(bundle)
    assert f"was written by another version of dbot ('dbot {what} 9'" in refused(bundle, capsys)


def test_another_plan_is_named(bundle: Path, elsewhere: FakeProject, capsys: Say) -> None:
    elsewhere.set("train: 2000, validation: 500, clutter: 0.25", "train: 2000, validation: 500, clutter: 0.5")
    said = refused(bundle, capsys)
    assert "results/demo/generate/digits/receipt.json: was made by another plan" in said
    assert "embedded.clutter was 0.25, is now 0.5" in said


def test_a_row_that_is_not_declared_is_named(bundle: Path, elsewhere: FakeProject, capsys: Say) -> None:
    folder = bundle / "results/demo/distill/B-B"
    folder.rename(folder.with_name("B-unknown"))
    seal_anew(bundle)
    assert "is the receipt of distill/B-B/stage1" in refused(bundle, capsys)


@pytest.mark.parametrize("cut", [0.3, 0.99])
def test_a_zip_that_is_cut_off_is_named(bundle: Path, elsewhere: FakeProject, tmp_path: Path, cut: float, capsys: Say) -> None:
    (path,) = write_zips(bundle, tmp_path / "b.zip")
    path.write_bytes(path.read_bytes()[: int(cut * path.stat().st_size)])
    assert f"{path}: is cut off or damaged, or no zip" in refused(path, capsys)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda bundle: (bundle / RECEIPT).unlink(), f"{bundles.INDEX}|{RECEIPT}: is missing"),
        (lambda bundle: (bundle / "results/demo/notes.txt").write_text("x"), "was not published with this bundle"),
    ],
)
def test_what_is_missing_or_too_much_is_named(
    bundle: Path, elsewhere: FakeProject, change: Callable[[Path], None], said: str, capsys: Say
) -> None:
    change(bundle)
    assert said.rpartition("|")[2] in refused(bundle, capsys)


def test_what_no_receipt_names_is_refused_even_under_a_seal(bundle: Path, elsewhere: FakeProject, capsys: Say) -> None:
    (bundle / "results/demo/distill/B-B/stage2/more.py").write_text("x")
    seal_anew(bundle)
    assert "more.py: is no file of distill/B-B/stage2" in refused(bundle, capsys)


def test_a_receipt_that_lies_here_stays(bundle: Path, elsewhere: FakeProject, capsys: Say) -> None:
    elsewhere.run_chain(elsewhere.plan.distill("B-B", "1"))
    before = Path("results/demo/distill/B-B/stage1/receipt.json").read_bytes()
    status = main(["restore", str(bundle)])
    said = capsys.readouterr().err
    assert status == 2
    assert "distill/B-B/stage1/receipt.json: another receipt lies here already" in said
    assert Path("results/demo/distill/B-B/stage1/receipt.json").read_bytes() == before
    assert not Path(RECEIPT).exists()


def test_damaged_and_missing_files_come_back(bundle: Path, elsewhere: FakeProject, capsys: Say) -> None:
    assert main(["restore", str(bundle)]) == 0
    Path(STUDENT).unlink()
    flip(Path(MANIFEST))
    assert main(["restore", str(bundle)]) == 0
    assert "restored 2 jobs" in capsys.readouterr().out
    assert file_digest(Path(STUDENT)) == file_digest(bundle / STUDENT)
    assert file_digest(Path(MANIFEST)) == file_digest(bundle / MANIFEST)


def test_a_failure_halfway_leaves_nothing(bundle: Path, elsewhere: FakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    put, count = restoring._put, 0

    def fails(*given: object) -> bool:
        nonlocal count
        count += 1
        if count == 5:
            raise OSError(28, "No space left on device")
        return put(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(restoring, "_put", fails)
    assert main(["restore", str(bundle)]) == 2
    assert [path for path in RESULTS.rglob("*") if path.is_file()] == []


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH")
def test_signatures_travel_and_are_verified_first(bundle: Path, elsewhere: FakeProject, tmp_path: Path, capsys: Say) -> None:
    """By whoever this project allows to sign, not by whoever the bundle comes from."""
    key = tmp_path / "key"
    sign(bundle, key)
    altered = tmp_path / "altered"
    shutil.copytree(bundle, altered)
    name = altered / f"{RECEIPT}{signature.SUFFIX}"
    (bundle.parent / "other").write_text("another text")
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", "receipt@dbot", str(bundle.parent / "other")], check=True)
    name.write_bytes((bundle.parent / "other.sig").read_bytes())
    seal_anew(altered)
    assert RECEIPT in refused(altered, capsys)
    assert main(["restore", str(bundle)]) == 0
    assert signature.verify(Path(RECEIPT), Path("allowed_signers")).signer == "alice@example.org"


def test_names_that_lead_elsewhere_are_refused(bundle: Path, elsewhere: FakeProject, capsys: Say) -> None:
    found = bundles.read(bundle)
    told = {**found.files, "results/../../outside": found.files["README.md"]}
    said = found.model_copy(update={"files": told})
    (bundle / INDEX).write_text(said.model_copy(update={"seal": bundles._digest(said)}).model_dump_json())
    assert "would lie outside of the bundle" in refused(bundle, capsys)


def test_the_plan_of_the_paper_is_refused(bundle: Path, elsewhere: FakeProject, plan: Plan, capsys: Say) -> None:
    assert main(["restore", str(bundle), "--scale", "paper"]) == 2
    assert "is of scale demo, not paper" in capsys.readouterr().err
