"""A detector without mask heads: trained, measured and drawn on a set that has boxes alone."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from dbot.data.manifest import Manifest, read_manifest
from dbot.data.objects.annotations import ground_truth
from dbot.data.objects.loading import TrainingObjects, ValidationViews
from dbot.data.objects.results import overlaps_of, score
from dbot.data.prepare import prepare
from dbot.params.datasets import Check, Dataset, Split
from dbot.params.document import Params
from dbot.pictures.detection import detection_gallery
from dbot.tasks.detect import detect_task, evaluate_detection
from tests.models.detector import small
from tests.tasks import shapes
from tests.train.small import ALONE, execution_like, run

SIDE = 48

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Six training and six validation pictures, whose annotations have no segmentation."""
    for part in ("train", "val"):
        truth = shapes.ground_truth(6, SIDE)
        (tmp_path / "set" / part).mkdir(parents=True)
        for number, image in enumerate(truth["images"]):
            pixels = shapes.picture(number, SIDE)[0].permute(1, 2, 0).numpy()
            Image.fromarray(pixels).save(tmp_path / "set" / part / image["file_name"])
        for entry in truth["annotations"]:
            entry["segmentation"] = []
        (tmp_path / "set" / f"{part}.json").write_text(json.dumps(truth))
    declared = Dataset(
        layouts=["coco"],
        root=str(tmp_path / "set"),
        train=Split(images="train", annotations="train.json"),
        validation=Split(images="val", annotations="val.json"),
        check=Check(decode="all", meant=["shared-images"]),
        masks="none",
    )
    prepare("shapes", declared, tmp_path / "out", tmp_path / "copy", 1, 1e9)
    return read_manifest(tmp_path / "out")


def recipe_of() -> Any:
    sides = {"short_sides": [SIDE], "long_side": 2 * SIDE, "crop_short_sides": [SIDE], "crop_sides": [30, SIDE]}
    figures = {"epochs": 3, "warmup_epochs": 0.5, "batch_size": 4, "optimizer": {"learning_rate": 2e-3}, "augmentation": sides}
    return small.small(**figures, inference={"short_side": SIDE, "long_side": SIDE, "score": 0.0})


def test_it_trains_and_is_scored_as_pycocotools_does(demo: Params, manifest: Manifest, tmp_path: Path) -> None:
    recipe = recipe_of()
    made = small.detector(recipe, masks=False)
    assert not any("mask" in name for name in made.state_dict())
    before = {name: tensor.clone() for name, tensor in made.named_parameters()}
    task = detect_task("test", made, recipe, 0, TrainingObjects(manifest, recipe.augmentation, 0), demo.normalisation, None, None)
    run(task, tmp_path / "states", execution_like(demo.execution), batch=2)
    assert not any(torch.equal(tensor, before[name]) for name, tensor in made.named_parameters() if "cascade" in name)

    views = ValidationViews(manifest, recipe.inference)
    truth = ground_truth(manifest)
    found = evaluate_detection(made.eval(), recipe, views, demo.normalisation, shapes.CATEGORY_IDS, ALONE)
    assert found
    assert all(result.keys() == {"image_id", "category_id", "bbox", "score"} for result in found)
    # Beside what an untrained detector finds, some that is right, so that there is something to compare.
    for entry in truth["annotations"][::2]:
        found.append({**{key: entry[key] for key in ("image_id", "category_id", "bbox")}, "score": 0.9})
    scores = score(truth, found, overlaps_of(manifest.masks))
    assert {name.split("_")[0] for name in scores.summary} == {"box"}
    reference = shapes.average_precision(truth, [dict(result) for result in found], "bbox")  # writes into what it is given
    assert scores.summary["box_ap"] == pytest.approx(100 * reference, abs=1e-9)
    assert 20 < scores.summary["box_ap"] < 80
    assert all(figures.keys() <= {"box_ap"} for figures in scores.categories.values())

    gallery = Image.open(io.BytesIO(detection_gallery(manifest, found, shapes.CATEGORY_IDS)))
    assert gallery.width > 640


def test_the_same_proposals_and_box_heads() -> None:
    """With the same weights it finds the same boxes, and what it loses on them is the same."""
    images, targets = small.batch()
    whole, boxes = small.detector(), small.detector(masks=False)
    shared = {name: tensor for name, tensor in whole.state_dict().items() if "mask" not in name}
    boxes.load_state_dict(shared)
    assert whole.has_masks
    assert not boxes.has_masks
    bare = [{name: tensor for name, tensor in target.items() if name != "masks"} for target in targets]
    found = []
    for model, seen in ((whole, targets), (boxes, bare)):
        torch.manual_seed(0)
        found.append({name: loss.item() for name, loss in model.train()(images, seen).items()})
    assert found[1] == {name: loss for name, loss in found[0].items() if "mask" not in name}
    assert len(found[0]) == len(found[1]) + 3
    boxes.load_state_dict({name: tensor for name, tensor in whole.state_dict().items() if "mask" not in name})
    for with_masks, without in zip(whole.eval()(images), boxes.eval()(images), strict=True):
        assert without.keys() == {"boxes", "scores", "labels"}
        assert all(torch.equal(with_masks[name], tensor) for name, tensor in without.items())
