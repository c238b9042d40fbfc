"""What a detector finds on a folder: the file that other tools read, and pictures."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from dbot.data.images import read_image
from dbot.models import checkpoint
from dbot.tasks.detect import detector_of, evaluate_detection
from dbot.tasks.predict.folder import ImageFolder
from dbot.tasks.predict.objects import predict_objects
from tests.tasks.predict.small import CATEGORY_IDS, CLASSES, detector_checkpoint
from tests.tasks.shapes import Views, picture
from tests.train.small import ALONE

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def detector(tmp_path):
    path = detector_checkpoint(tmp_path / "detector.safetensors")
    return detector_of(*checkpoint.load(path), str(path))


def run(detector, folder, demo, output, score=0.3):
    images = ImageFolder(folder, 1e9)
    return predict_objects(*detector, CLASSES, CATEGORY_IDS, images, demo.normalisation, CPU, score, output)


def test_a_coco_file_and_pictures(detector, photos, demo, tmp_path):
    count = run(detector, photos, demo, tmp_path / "out")
    read = COCO(tmp_path / "out/detections.json")
    assert [(image["id"], image["file_name"]) for image in read.dataset["images"]] == [
        (1, "a.PNG"),
        (2, "below/1.jpg"),
        (3, "below/b.c.webp"),
        (4, "one pixel.png"),
    ]
    assert len(read.anns) == count > 0
    assert [(category["id"], category["name"]) for category in read.dataset["categories"]] == list(zip(CATEGORY_IDS, CLASSES, strict=True))
    for entry in read.dataset["annotations"]:
        image = read.imgs[entry["image_id"]]
        left, top, width, height = entry["bbox"]
        assert 0 <= left <= left + width <= image["width"]
        assert 0 <= top <= top + height <= image["height"]
        assert read.annToMask(entry).sum() == entry["area"]
        assert 0 < entry["score"] <= 1
    assert read.loadRes(read.dataset["annotations"]).anns.keys() == read.anns.keys()
    sizes = {name: Image.open(tmp_path / f"out/pictures/{name}.jpg").size for name in ("a", "below/1", "below/b.c", "one pixel")}
    assert sizes == {"a": (30 * 34, 20 * 34), "below/1": (640, 1024), "below/b.c": (90 * 11, 7 * 11), "one pixel": (1024, 1024)}


def test_boxes_alone_of_a_detector_without_mask_heads(photos, demo, tmp_path):
    path = detector_checkpoint(tmp_path / "boxes.safetensors", masks=False)
    assert run(detector_of(*checkpoint.load(path), str(path)), photos, demo, tmp_path / "out") > 0
    read = COCO(tmp_path / "out/detections.json")
    for entry in read.dataset["annotations"]:
        assert "segmentation" not in entry
        assert entry["area"] == pytest.approx(entry["bbox"][2] * entry["bbox"][3], abs=1e-3)
    assert read.loadRes(read.dataset["annotations"]).anns.keys() == read.anns.keys()
    assert (tmp_path / "out/pictures/below/1.jpg").exists()


def test_nothing_is_drawn_below_the_score(detector, photos, demo, tmp_path):
    run(detector, photos, demo, tmp_path / "out", score=1.0)
    drawn = np.array(Image.open(tmp_path / "out/pictures/below/1.jpg")).astype(int)
    plain = read_image(photos / "below/1.jpg").permute(1, 2, 0).numpy().repeat(16, axis=0).repeat(16, axis=1)
    assert np.abs(drawn - plain).mean() < 3


def test_the_same_bytes_again(detector, photos, demo, tmp_path):
    for name in ("one", "two"):
        run(detector, photos, demo, tmp_path / name)
    for path in (tmp_path / "one").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_it_finds_what_evaluation_finds(detector, demo, tmp_path):
    side = 48
    (tmp_path / "shapes").mkdir()
    for number in range(3):
        Image.fromarray(picture(number, side)[0].permute(1, 2, 0).numpy()).save(tmp_path / f"shapes/{number}.png")
    run(detector, tmp_path / "shapes", demo, tmp_path / "out")
    model, recipe = detector
    recipe = recipe.model_copy(update={"inference": recipe.inference.model_copy(update={"short_side": 32})})
    results = evaluate_detection(model, recipe, Views(3, side, seen=32), demo.normalisation, CATEGORY_IDS, ALONE)
    annotations = json.loads((tmp_path / "out/detections.json").read_text())["annotations"]
    assert len(annotations) == len(results) > 0
    for entry, result in zip(annotations, results, strict=True):
        assert {**{key: entry[key] for key in result}, "image_id": 99 + entry["image_id"]} == result
