"""A number is current only if its whole lineage is."""

import json
from pathlib import Path

import pytest

from dbot.lineage import receipt as receipts
from dbot.lineage.judge import Judge, State, spent
from tests.fabricated import Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project.begin(tmp_path, monkeypatch)


def state(project: Project, row: str = "B-B") -> tuple[State, str]:
    found = Judge().of(project.plan.evaluate(row, "cls", 0))
    return found.state, found.reason


def test_no_receipt_is_not_run(project: Project) -> None:
    assert state(project) == (State.NOT_RUN, "evaluate/B-B/cls/seed0 has not run")


def test_a_sound_lineage_is_done(project: Project) -> None:
    project.pretend(project.plan.evaluate("B-B", "cls", 0))
    assert state(project) == (State.BUILT, "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            (
                "evaluation_resize: 1.1428571428571428 # 256 / 224\n      evaluate_every: 1\n",
                "evaluation_resize: 1.5\n      evaluate_every: 1\n",
            ),
            "finetune/B-B/seed0: recipe.evaluation_resize was 1.1428571428571428, is now 1.5",
        ),
        (("label_fraction: 0.2", "label_fraction: 0.9"), "finetune/B-B/seed0: recipe.label_fraction was 0.2, is now 0.9"),
        (("mask_ratio: 0.75", "mask_ratio: 0.9"), "distill/B-B/stage1: recipe.mask_ratio was 0.75, is now 0.9"),
        (
            ("style: digits, image_size: 32, train: 2000", "style: digits, image_size: 32, train: 99"),
            "generate/digits: embedded.train was 2000, is now 99",
        ),
    ],
)
def test_a_parameter_changed_anywhere_before_it_makes_it_stale(project: Project, change: tuple[str, str], said: str) -> None:
    project.pretend(project.plan.evaluate("B-B", "cls", 0))
    found, reason = state(project.reload(change))
    assert found is State.STALE
    assert reason.startswith(said)


def test_a_parameter_of_another_row_changes_nothing(project: Project) -> None:
    project.pretend(project.plan.evaluate("B-B", "cls", 0))
    project.reload(("asymmetric-L: {epochs: 20", "asymmetric-L: {epochs: 21"))
    assert state(project)[0] is State.BUILT


def test_an_input_made_anew_makes_it_stale(project: Project) -> None:
    project.pretend(project.plan.evaluate("B-B", "cls", 0))
    teacher = project.plan.distill("B-B", 1)
    project.write(teacher, {"loss": 0.25}, device="cpu", hours=1, curve=False)
    found, reason = state(project)
    assert found is State.STALE
    assert reason.startswith("distill/B-B/stage2: distill/B-B/stage1 was ")


def test_the_same_made_again_changes_nothing(project: Project) -> None:
    """Times and places are no part of a receipt's id."""
    project.pretend(project.plan.evaluate("B-B", "cls", 0))
    project.write(project.plan.distill("B-B", 1), {}, device="cpu", hours=7, curve=False)
    assert state(project)[0] is State.BUILT


@pytest.mark.parametrize("job", ["evaluate/B-B/cls/seed0", "finetune/B-B/seed0", "distill/B-B/stage1", "prepare/digits"])
def test_a_changed_receipt_breaks_all_after_it(project: Project, job: str) -> None:
    project.pretend(project.plan.evaluate("B-B", "cls", 0))
    path = Path("results/demo") / job / "receipt.json"
    content = json.loads(path.read_text())
    content["results"]["top1"] = 99.9
    path.write_text(json.dumps(content))
    found, reason = state(project)
    assert found is State.BROKEN
    assert f"{path}: was changed after it was written" in reason


@pytest.mark.parametrize("content", ["", "{}", "no receipt", '{"format": "dbot receipt 1"}', "\x00"])
def test_what_is_no_receipt_is_broken(project: Project, content: str) -> None:
    path = project.plan.evaluate("B-B", "cls", 0).receipt
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert state(project)[0] is State.BROKEN


def test_a_number_that_is_none_is_broken(project: Project) -> None:
    path = project.plan.evaluate("B-B", "cls", 0).receipt
    project.pretend(project.plan.evaluate("B-B", "cls", 0), top1=50.0)
    path.write_text(path.read_text().replace("50.0", "NaN"))
    assert state(project)[0] is State.BROKEN


def test_a_lineage_with_a_hole_is_not_run(project: Project) -> None:
    project.pretend(project.plan.evaluate("B-B", "cls", 0))
    gone = project.plan.distill("B-B", 1).receipt
    gone.unlink()
    assert state(project) == (State.NOT_RUN, "distill/B-B/stage1 has not run")


def test_a_receipt_copied_from_another_row_is_broken(project: Project) -> None:
    made = project.pretend(project.plan.evaluate("B-B", "cls", 0), top1=70)
    receipts.write(made, project.plan.evaluate("B-scratch", "cls", 0).receipt)
    found, reason = state(project, "B-scratch")
    assert found is State.BROKEN
    assert "is the receipt of another job than evaluate/B-scratch/cls/seed0" in reason


def test_a_lineage_names_each_job_once(project: Project) -> None:
    project.pretend(project.plan.evaluate("B-B", "cls", 0))
    names = [found.job.name for found in Judge().of(project.plan.evaluate("B-B", "cls", 0)).lineage()]
    assert sorted(names) == sorted(job.name for job in project.plan.jobs([project.plan.evaluate("B-B", "cls", 0)]))


def test_hours_count_each_job_once_and_each_device_apart(project: Project) -> None:
    project.pretend(project.plan.prepare("digits"), device="cpu", hours=0.5)
    for row in ("B-B", "B-scratch"):
        project.pretend(project.plan.evaluate(row, "cls", 0), device="Some GPU", hours=2)
    judge = Judge()
    found = [judge.of(project.plan.evaluate(row, "cls", 0)) for row in ("B-B", "B-scratch")]
    # generate and prepare; two stages, two fine-tunings and two evaluations.
    assert spent(found) == {"cpu": 1.0, "Some GPU": 12.0}
    assert spent(found[:1]) == {"cpu": 1.0, "Some GPU": 8.0}
