"""What jobs have to do: images by recipe and data set, and which trainings are alike."""

from pathlib import Path

import pytest

from dbot.commands.imitate import random_weights
from dbot.forecast.work import Works, kinds
from dbot.jobs.work import BYTES
from dbot.params.load import load
from dbot.plan import Plan
from tests.conftest import PROJECT
from tests.params_text import params_text

SCALES = ["demo", "single-gpu", "paper", "released", "released-demo"]


def plan_of(scale: str) -> Plan:
    return Plan(load(PROJECT / "params.yaml", scale))


@pytest.fixture(scope="module")
def paper_works() -> Works:
    return Works(plan_of("paper"))


@pytest.mark.parametrize("scale", SCALES)
def test_every_job_of_every_scale_is_counted(scale: str) -> None:
    plan = plan_of(scale)
    works = Works(plan)
    for job in plan.everything():
        work = works.of(job)
        assert work.images is None or work.images > 0 or (job.verb == "fetch" and work.downloads > 0)
        assert bool(work.checkpoints) == any(name.endswith(".safetensors") for name in job.artifacts)
        assert bool(work.kind) == (work.training is not None)
        if job.verb not in ("generate", "prepare", "fetch") and not work.left_out:
            assert work.flops > 0


def test_an_epoch_drops_what_makes_no_whole_batch(paper_works: Works) -> None:
    work = paper_works.of(paper_works.plan.distill("B-B", 1))
    assert work.training is not None
    assert work.training.images == work.images == 800 * (1281167 // 4096) * 4096


def test_a_fine_tuning_is_measured_as_often_as_its_recipe_says(paper_works: Works) -> None:
    fine = paper_works.of(paper_works.plan.finetune("B-B", 0))
    transferred = paper_works.of(paper_works.plan.transfer("B-B", "cifar10", 0))
    assert fine.inference is not None
    assert transferred.inference is not None
    assert fine.inference.images == 100 * 50000
    assert transferred.inference.images == 1000 // 10 * 10000


def test_a_share_of_the_labels_is_a_share_of_the_images() -> None:
    work = Works(plan_of("demo"))
    training = work.of(work.plan.finetune("B-B", 0)).training
    assert training is not None
    assert training.images == 20 * (400 // 32) * 32  # 400 of 2,000


def test_stages_of_a_row_are_alike_but_for_their_teacher(paper_works: Works) -> None:
    plan = paper_works.plan
    first, second, third = (paper_works.of(plan.distill("L-L", stage)) for stage in (1, 2, 3))
    assert second == third
    assert first.kind != second.kind  # its teacher is a patch embedding
    assert first.flops < second.flops


def test_one_job_stands_for_each_kind_of_training(paper_works: Works) -> None:
    found = kinds(paper_works, paper_works.plan.jobs())
    assert len(found) == len({paper_works.of(job).kind for job in found.values()})
    assert {"distill/B-B/stage1", "finetune/B-B/seed0"} <= {job.name for job in found.values()}
    assert "distill/B-B/stage3" not in {job.name for job in found.values()}


def test_a_teacher_of_unknown_shape_is_said_and_not_counted() -> None:
    works = Works(plan_of("demo"))
    work = works.of(works.plan.distill("B-CLIP", 1))
    assert work.left_out == ("teacher clip-B",)
    assert work.kind != works.of(works.plan.distill("L-CLIP", 1)).kind


def test_a_released_classifier_leaves_a_checkpoint_of_its_size(paper_works: Works) -> None:
    work = paper_works.of(paper_works.plan.fetch("B-B-finetuned"))
    assert work.checkpoints == pytest.approx(86e6 * BYTES, rel=0.01)
    assert work.downloads == work.checkpoints


def test_released_weights_are_counted_to_the_number(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the networks themselves; what lies in the folder already is not downloaded."""
    works = Works(plan_of("released-demo"))
    params = works.plan.params
    monkeypatch.chdir(tmp_path)
    assert works.of(works.plan.fetch("B-B-pre")).downloads > 0
    for name in ("B-B-pre", "B-CLIP-pre", "L-L-finetuned", "L-CLIP-finetuned", "H448-CLIP-finetuned"):
        weights, _ = random_weights(params, name, params.released.files[name])
        work = Works(works.plan).of(works.plan.fetch(name))
        # A table of positions that all blocks share is one.
        assert work.checkpoints == pytest.approx(BYTES * sum(tensor.numel() for tensor in weights.values()), rel=1e-3)
    there = Path("data/imitated") / params.released.files["B-B-pre"].file
    there.parent.mkdir(parents=True)
    there.touch()
    assert Works(works.plan).of(works.plan.fetch("B-B-pre")).downloads == 0


def test_images_nobody_has_counted_are_not_guessed(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = params_text()
    assert text.count("train: {images: train, count: 1281167}") == 1
    (tmp_path / "params.yaml").write_text(text.replace("train: {images: train, count: 1281167}", "train: {images: train}"))
    monkeypatch.chdir(tmp_path)
    works = Works(Plan(load(tmp_path / "params.yaml", "paper")))
    assert works.of(works.plan.prepare("imagenet-1k")).images is None
    job = works.plan.distill("B-B", 1)
    assert works.of(job).images is None
    assert works.of(job).training is None
    assert works.of(works.plan.probe("B-B", 1)).images is None
