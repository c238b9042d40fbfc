"""Segmentation learns, goes on where it was, and its evaluation counts every image once."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from dbot.base.errors import UserError
from dbot.base.seeds import generator
from dbot.data.images import read_image, read_label_map
from dbot.data.labelmaps.pairs import ValidationPairs
from dbot.data.labelmaps.values import IGNORE
from dbot.data.manifest import read_manifest
from dbot.data.transforms import normalise
from dbot.models.segmenter import build_segmenter, enlarged, initialise_heads
from dbot.params.datasets import Check
from dbot.params.load import load
from dbot.tasks.confusion import confusion, scores
from dbot.tasks.segment import begin_segmenter, evaluate_segmentation, pixel_loss, segment_task
from dbot.train.loop import Interrupted
from tests.conftest import PROJECT
from tests.models.stand_in_pyramid import StandInPyramid
from tests.processes import together
from tests.tasks.small_segmentation import CLASSES, declared, prepared, recipe, write_maps
from tests.train.small import ALONE, ARCHITECTURE, execution_like, run, without_times

VALIDATION = [(16, 16), (10, 30), (20, 12), (16, 25), (40, 40)]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    return prepared(declared(write_maps(folder / "set", {"train": [(16, 24)] * 9, "val": VALIDATION})), folder / "prepared")


def drawn(figures):
    segmenter = build_segmenter(StandInPyramid(), figures, CLASSES)
    initialise_heads(segmenter, 0.01, generator(0, "heads"))
    return segmenter


def task_of(figures, manifest, demo, processes=ALONE):
    segmenter = drawn(figures)

    def measure(model):
        return evaluate_segmentation(segmenter, figures, manifest, demo.normalisation, processes, 4).metrics

    groups = [{"params": list(segmenter.parameters()), "weight_decay": 0.05, "lr_scale": 1.0}]
    return segment_task("test", segmenter, figures, 0, manifest, demo.normalisation, groups, measure)


def test_learns_and_is_measured_when_the_recipe_says(manifest, demo, tmp_path):
    figures = recipe(epochs=16, warmup_epochs=1, evaluate_every=8, optimizer={"learning_rate": 1e-2}, augmentation={"distortion": False})
    task = task_of(figures, manifest, demo)
    outcome = run(task, tmp_path, execution_like(demo.execution), batch=4)
    assert [metrics["epoch"] for metrics in outcome.history if "miou" in metrics] == [8, 16]
    assert outcome.history[-1]["loss"] < 0.7 * outcome.history[0]["loss"]
    assert outcome.history[-1]["miou"] > 60
    assert outcome.history[-1]["miou"] <= outcome.history[-1]["macc"]


def test_a_recipe_may_leave_measuring_to_its_job(manifest, demo):
    assert task_of(recipe(evaluate_every=None), manifest, demo).evaluate is None


def test_goes_on_bit_for_bit(manifest, demo, tmp_path):
    figures, execution = recipe(epochs=3, evaluate_every=3), execution_like(demo.execution)
    whole = task_of(figures, manifest, demo)
    history = run(whole, tmp_path / "whole", execution, batch=4).history

    class Killed(Exception):
        pass

    def after(history):
        if len(history) == 2:
            raise Killed

    with pytest.raises((Killed, Interrupted)):
        run(task_of(figures, manifest, demo), tmp_path / "cut", execution, batch=4, after=after)
    again = task_of(figures, manifest, demo)
    assert without_times(run(again, tmp_path / "cut", execution, batch=4).history) == without_times(history)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name


def test_one_image_at_a_time_is_refused(manifest, demo, tmp_path):
    with pytest.raises(UserError, match="batch_per_process"):
        run(task_of(recipe(), manifest, demo), tmp_path, execution_like(demo.execution), batch=1)


@given(seed=st.integers(0, 20), scale=st.sampled_from([1, 2]))
def test_pixel_loss_equals_a_sum_by_hand(seed, scale):
    draws = generator(seed)
    logits = torch.randn(2, 3, 4 // scale, 6 // scale, generator=draws)
    classes = torch.randint(0, 4, (2, 4, 6), generator=draws)
    classes[classes == 3] = IGNORE
    shares = enlarged(logits, (4, 6)).log_softmax(1)
    total = sum(-shares[b, classes[b, y, x], y, x] for b in range(2) for y in range(4) for x in range(6) if classes[b, y, x] != IGNORE)
    assert pixel_loss(logits, classes).item() == pytest.approx(float(total) / 48, rel=1e-5)


def test_pixel_loss_is_finite_without_any_class():
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = pixel_loss(logits, torch.full((1, 4, 4), IGNORE))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().max() == 0


@torch.no_grad()
def test_measures_equal_a_count_image_by_image(manifest, demo):
    """Images that one window covers, against a plain forward pass."""
    figures = recipe(inference={"window": 64, "stride": 43})
    segmenter = drawn(figures).eval()
    matrix = torch.zeros(CLASSES, CLASSES, dtype=torch.int64)
    samples = manifest.samples("validation")
    for path, label_map in zip(samples.paths, samples.annotations, strict=True):
        image, truth = read_image(manifest.root / path), read_label_map(manifest.root / label_map)
        height, width = image.shape[1:]
        factor = min(16 / min(height, width), 64 / max(height, width))
        seen = (int(height * factor + 0.5), int(width * factor + 0.5))
        image = functional.interpolate(image[None].float(), seen, mode="bilinear").round().to(torch.uint8)
        batch = functional.pad(normalise(image, demo.normalisation), [0, -seen[1] % 8, 0, -seen[0] % 8])
        logits = functional.interpolate(segmenter(batch)[0], batch.shape[2:], mode="bilinear")[:, :, : seen[0], : seen[1]]
        predicted = functional.interpolate(logits, (height, width), mode="bilinear")[0].argmax(0)
        for label in range(CLASSES):
            for other in range(CLASSES):
                matrix[label, other] += ((truth == label + 1) & (predicted == other)).sum()
    got = evaluate_segmentation(segmenter, figures, manifest, demo.normalisation, ALONE, 4)
    assert got.metrics == pytest.approx(scores(matrix).metrics, abs=0.1), "a level of rounding may move a pixel"
    assert len(got.iou) == CLASSES


def test_the_number_of_windows_at_once_changes_nothing(manifest, demo):
    segmenter = drawn(recipe()).eval()
    one, many = (evaluate_segmentation(segmenter, recipe(), manifest, demo.normalisation, ALONE, n) for n in (1, 64))
    assert one.metrics == pytest.approx(many.metrics)


def test_truth_as_prediction_is_perfect(manifest):
    pairs = ValidationPairs(manifest)
    matrix = sum(confusion(truth, truth.long().clamp(max=CLASSES - 1), CLASSES) for _, truth in (pairs[i] for i in range(len(pairs))))
    assert scores(matrix).metrics == {"miou": 100.0, "macc": 100.0, "aacc": 100.0}


def test_a_set_without_any_class_is_named(demo, tmp_path):
    root = write_maps(tmp_path / "set", {"train": [(16, 16)], "val": [(1, 8)]})  # a rim is all there is
    meant = Check(decode="all", unreadable="refuse", meant=["mostly-void", "unseen-classes"])
    manifest = prepared(declared(root, check=meant), tmp_path / "prepared")
    with pytest.raises(UserError, match="no pixel of the validation label maps has a class"):
        evaluate_segmentation(drawn(recipe()).eval(), recipe(), manifest, demo.normalisation, ALONE, 4)


def shared(group, folder: Path):
    demo = load(PROJECT / "params.yaml", "demo").params
    manifest = read_manifest(Path((folder / "manifest").read_text()))
    figures = recipe(epochs=1, evaluate_every=1)
    before = evaluate_segmentation(drawn(figures).eval(), figures, manifest, demo.normalisation, group, 4)
    task = task_of(figures, manifest, demo, group)
    history = run(task, folder / "state", execution_like(demo.execution), group, batch=2).history
    after = evaluate_segmentation(task.model.eval(), figures, manifest, demo.normalisation, group, 4)
    return {"before": before.metrics, "trained": history[-1]["miou"], "after": after.metrics["miou"], "weights": task.model.state_dict()}


def test_two_processes_measure_as_one(manifest, demo, tmp_path):
    (tmp_path / "manifest").write_text(str(manifest.folder))
    alone = evaluate_segmentation(drawn(recipe()).eval(), recipe(), manifest, demo.normalisation, ALONE, 4)
    first, second = together(shared, tmp_path)
    assert first["before"] == second["before"] == pytest.approx(alone.metrics)
    assert first["trained"] == second["trained"] == first["after"] == second["after"]
    for name, tensor in first["weights"].items():
        assert torch.equal(tensor, second["weights"][name]), f"{name}: the processes would measure different networks"


@pytest.mark.slow
def test_four_label_maps_are_learnt_by_heart(demo, tmp_path):
    root = write_maps(tmp_path / "set", {"train": [(32, 32)] * 4, "val": [(32, 32)] * 4})
    for number in range(4):
        for kind in ("images", "maps"):
            (root / kind / "val" / f"{number}.png").write_bytes((root / kind / "train" / f"{number}.png").read_bytes())
    manifest = prepared(declared(root), tmp_path / "prepared")
    sizes = {"long_side": 128, "short_side": 32}
    still = {"scale_jitter": [1.0, 1.0], "crop": 32, "flip": 0.0, "distortion": False, **sizes}
    figures = recipe(epochs=60, warmup_epochs=5, augmentation=still, inference={"window": 32, "stride": 21, **sizes}, evaluate_every=20)
    task = task_of(figures, manifest, demo)
    measured = [m["miou"] for m in run(task, tmp_path / "state", execution_like(demo.execution), batch=4).history if "miou" in m]
    print("mIoU after 20, 40, 60 epochs:", np.round(measured, 1))
    assert measured[-1] > 80


def test_what_is_compiled_has_no_norm_over_several_processes(manifest, demo):
    segmenter = begin_segmenter(ARCHITECTURE, recipe(), CLASSES, 0, None, "")
    task = segment_task("test", segmenter, recipe(), 0, manifest, demo.normalisation, [], None)
    assert task.compiled(segmenter) == [segmenter]
    several = torch.nn.SyncBatchNorm.convert_sync_batchnorm(segmenter)
    (compiled,) = task.compiled(several)
    assert compiled is several.pyramid.encoder
    assert not any(isinstance(part, torch.nn.SyncBatchNorm) for part in compiled.modules())
