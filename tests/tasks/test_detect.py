"""Detection as a task of the loop, and what it writes as COCO results."""

import math

import pytest
import torch
from torch import nn

from dbot.params.load import load
from dbot.tasks.detect import detect_task, evaluate_detection
from tests.conftest import PROJECT
from tests.models.detector.small import detector, small
from tests.processes import together
from tests.tasks.shapes import CATEGORY_IDS, Pictures, Views, average_precision, ground_truth, picture
from tests.train.small import ALONE, execution_like, run

SIDE = 48

pytestmark = pytest.mark.usefixtures("one_thread")


def recipe_like(**changes):
    figures = {"epochs": 2, "warmup_epochs": 0.5, "batch_size": 4, "optimizer": {"learning_rate": 2e-3}}
    return small(**{**figures, "inference": {"short_side": SIDE, "long_side": SIDE}, **changes})


def task_of(recipe, demo, evaluate=None, count=8):
    return detect_task("test", detector(recipe), recipe, 0, Pictures(count, SIDE), demo.normalisation, None, evaluate)


class Oracle(nn.Module):
    """Stands in for a detector: it finds the ground truth, whatever it looks at."""

    def __init__(self, count, side, factor=1.0):
        super().__init__()
        self.left = [picture(number, side)[1] for number in range(count)]
        self.factor = factor

    def forward(self, images):
        target = self.left.pop(0)
        boxes = target["boxes"]
        masks = [mask[int(y0) : int(y1), int(x0) : int(x1)] for mask, (x0, y0, x1, y1) in zip(target["masks"], boxes.tolist(), strict=True)]
        resampled = [nn.functional.interpolate(mask[None, None].float(), (28, 28), mode="area")[0, 0] for mask in masks]
        return [
            {
                "boxes": boxes * self.factor,
                "scores": torch.linspace(0.9, 0.5, len(boxes)),
                "labels": target["labels"],
                "masks": torch.stack(resampled) if resampled else torch.zeros(0, 28, 28),
            }
        ]


@pytest.mark.parametrize("factor", [1, 2], ids=["as they are", "resized to twice their side"])
def test_ground_truth_fed_through_gets_all_of_it(demo, factor):
    """Boxes and masks land in pixels of the original image, under the ids of the file."""
    recipe = recipe_like()
    results = evaluate_detection(
        Oracle(6, SIDE, factor), recipe, Views(6, SIDE, seen=factor * SIDE), demo.normalisation, CATEGORY_IDS, ALONE
    )
    truth = ground_truth(6, SIDE)
    assert len(results) == len(truth["annotations"]) == 15
    assert average_precision(truth, results, "bbox") == pytest.approx(1)
    assert average_precision(truth, results, "segm") > 0.9  # masks went through 28 x 28 pixels
    assert [result["image_id"] for result in results] == sorted(result["image_id"] for result in results)


def test_trains_in_the_loop(demo, tmp_path):
    """Pieces of a batch, loader processes, evaluation as often as asked for."""
    recipe = recipe_like(evaluate_every=2)
    seen = []

    def evaluate(model):
        seen.append(model.training)
        return {"found": len(evaluate_detection(model, recipe, Views(5, SIDE), demo.normalisation, CATEGORY_IDS, ALONE))}

    task = task_of(recipe, demo, evaluate)
    execution = execution_like(demo.execution)
    outcome = run(task, tmp_path / "a", execution.model_copy(update={"workers": 2}), batch=2)
    assert outcome.steps == 4
    assert all(math.isfinite(metrics["loss"]) for metrics in outcome.history)
    assert ["found" in metrics for metrics in outcome.history] == [False, True]
    assert seen == [False]
    again = task_of(recipe, demo)
    run(again, tmp_path / "b", execution, batch=2)
    assert all(torch.equal(t, again.model.state_dict()[n]) for n, t in task.model.state_dict().items()), "workers or evaluation change it"


def test_measured_only_where_the_recipe_says_so(demo):
    assert task_of(recipe_like(), demo, evaluate=lambda model: {}).evaluate is None


def test_groups_go_to_the_optimizer(demo):
    recipe = recipe_like()
    model = detector(recipe)
    groups = [{"params": list(model.parameters()), "weight_decay": 0.0, "lr_scale": 0.5}]
    task = detect_task("test", model, recipe, 0, Pictures(4, SIDE), demo.normalisation, groups, None)
    assert task.groups is groups


def on_processes(group, folder):
    demo = load(PROJECT / "params.yaml", "demo").params
    recipe = recipe_like(epochs=1, boxes={"norm": "group"}, inference={"short_side": SIDE, "long_side": SIDE, "score": 0.2})
    fresh = detector(recipe).eval()
    share = Views(5, SIDE, group.rank, group.world)
    results = evaluate_detection(fresh, recipe, share, demo.normalisation, CATEGORY_IDS, group)
    task = task_of(recipe, demo)
    run(task, folder / "states", execution_like(demo.execution), group, batch=2)
    return {
        "results": str([(r["image_id"], r["category_id"], round(r["score"], 4), [round(v, 2) for v in r["bbox"]]) for r in results]),
        "images": sorted({r["image_id"] for r in results}),
        "model": task.model.state_dict(),
    }


def test_two_processes_find_what_one_finds_and_train_alike(tmp_path):
    """Every parameter gets a gradient on both, though one may see images without objects."""
    one = on_processes(ALONE, tmp_path / "one")
    first, second = together(on_processes, tmp_path / "two")
    assert one["images"] == [100, 101, 102, 103, 104]
    assert first["results"] == one["results"]
    assert second["results"] == "[]", "the leading process alone writes"
    assert all(torch.equal(tensor, second["model"][name]) for name, tensor in first["model"].items())


@pytest.mark.slow
def test_overfits_four_pictures(demo, tmp_path):
    side, count = 64, 4
    recipe = small(
        epochs=80,
        warmup_epochs=5,
        batch_size=4,
        optimizer={"learning_rate": 2e-3},
        channels=32,
        proposals={"samples": 64, "candidates": {"training": 200, "inference": 100}, "kept": {"training": 100, "inference": 50}},
        cascade={"samples": 32},
        boxes={"size": 7, "hidden": 64},
        masks={"size": 14, "convolutions": 2},
        inference={"short_side": side, "long_side": side},
    )
    model = detector(recipe, channels=32)
    task = detect_task("test", model, recipe, 0, Pictures(count, side), demo.normalisation, None, None)
    run(task, tmp_path, execution_like(demo.execution), batch=4)
    results = evaluate_detection(model.eval(), recipe, Views(count, side), demo.normalisation, CATEGORY_IDS, ALONE)
    assert average_precision(ground_truth(count, side), results, "bbox") > 0.5
    assert average_precision(ground_truth(count, side), results, "segm") > 0.4
