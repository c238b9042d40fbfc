"""Galleries of detections: the measure of an image, and who is best and worst by it."""

import io

import numpy as np
import pytest
from PIL import Image

from dbot.data.objects.annotations import ground_truth, read_objects
from dbot.data.objects.masks import compressed, compressed_mask
from dbot.pictures import detection
from dbot.pictures.detection import detection_gallery, f1, found_objects, labels, ranked, true_objects
from dbot.pictures.objects import Seen
from tests.data.objects.conftest import HEIGHT, WIDTH, annotation, content

IDS = [1, 13, 90]


def there(label, *box, crowd=False):
    return Seen(label, box, crowd=crowd)


def found(label, *box, score=0.9):
    return Seen(label, box, score=score)


SQUARE = (0, 0, 10, 10)
NEAR = (0, 0, 10, 8)  # IoU 0.8
HALF = (5, 0, 15, 10)  # IoU 1/3


@pytest.mark.parametrize(
    ("truth", "boxes", "value"),
    [
        ([there(1, *SQUARE)], [found(1, *NEAR)], 1),
        ([there(1, *SQUARE)], [found(2, *NEAR)], 0),
        ([there(1, *SQUARE)], [found(1, *HALF)], 0),
        ([there(1, *SQUARE)], [], 0),
        ([], [found(1, *SQUARE)], 0),
        ([], [], None),
        ([there(1, *SQUARE), there(1, 50, 50, 60, 60)], [found(1, *SQUARE)], 2 / 3),
        ([there(1, *SQUARE)], [found(1, *SQUARE), found(1, *NEAR, score=0.8)], 2 / 3),
        # The better score takes its object, the other one what is left.
        ([there(1, *SQUARE), there(1, 0, 0, 10, 6)], [found(1, 0, 0, 10, 7, score=0.5), found(1, 0, 0, 10, 6, score=0.9)], 1),
        # Within a crowd of its class a box counts neither way.
        ([there(1, *SQUARE), there(2, 0, 0, 90, 90, crowd=True)], [found(1, *SQUARE), found(2, 50, 50, 60, 60)], 1),
        ([there(1, *SQUARE), there(2, 0, 0, 90, 90, crowd=True)], [found(1, *SQUARE), found(1, 50, 50, 60, 60)], 2 / 3),
        ([there(2, 0, 0, 90, 90, crowd=True)], [found(2, 50, 50, 60, 60)], None),
    ],
)
def test_f1_by_hand(truth, boxes, value):
    assert f1(truth, boxes) == pytest.approx(value)


def by_image(results):
    grouped = {}
    for result in results:
        grouped.setdefault(result["image_id"], []).append(result)
    return grouped


def results_of(manifest, score=0.9, **changes):
    """The truth as results; `changes` by image id."""
    results = []
    for entry in ground_truth(manifest)["annotations"]:
        if not entry["iscrowd"]:
            runs = compressed(entry["segmentation"], HEIGHT, WIDTH).decode()
            result = {**{key: entry[key] for key in ("image_id", "category_id", "bbox")}, "score": score}
            results.append({**result, "segmentation": {"size": [HEIGHT, WIDTH], "counts": runs}})
    return results


def test_truth_and_results_are_read_alike(coco):
    manifest = coco.prepare()
    objects, results = read_objects(manifest, "validation"), by_image(results_of(manifest))
    for place, image_id in enumerate(objects.image_ids.tolist()):
        truth = [one for one in true_objects(objects, place) if not one.crowd]
        same = found_objects(results.get(image_id, []), labels(IDS))
        assert [(one.label, one.box) for one in truth] == [(one.label, one.box) for one in same]
        assert all((one.mask == other.mask).all() for one, other in zip(truth, same, strict=True))
    assert sum(one.crowd for place in range(4) for one in true_objects(objects, place)) == 2


@pytest.fixture
def seven(coco, picture):
    """Seven images with two objects each; found are both, one or none of them, on the last one only one that isn't there."""
    images = [{"id": 10 * n, "file_name": f"{n}.png", "height": HEIGHT, "width": WIDTH} for n in range(1, 8)]
    for image in images:
        picture(coco.folder / "set/val" / image["file_name"], size=(WIDTH, HEIGHT), seed=image["id"])
    pair = [
        {"bbox": [0, 0, 6, 6], "segmentation": [[0, 0, 6, 0, 6, 6, 0, 6]], "area": 36},
        {"bbox": [8, 4, 6, 6], "segmentation": [[8, 4, 14, 4, 14, 10, 8, 10]], "area": 36},
    ]
    entries = [annotation(2 * n + k, 10 * n, **pair[k]) for n in range(1, 8) for k in range(2)]
    coco.write("val", {**content(), "images": images, "annotations": entries})
    manifest = coco.prepare()
    mask = compressed_mask(np.ones((HEIGHT, WIDTH))).decode()

    def result(image_id, bbox, score=0.9):
        area = {"size": [HEIGHT, WIDTH], "counts": mask}
        return {"image_id": image_id, "category_id": 13, "bbox": bbox, "score": score, "segmentation": area}

    first, second = (one["bbox"] for one in pair)
    results = [result(10, first), result(30, first), result(40, first), result(40, second), result(50, first), result(60, first)]
    results += [result(20, first, score=0.1), result(70, [3, 9, 3, 3])]
    return manifest, results


def test_ranks_are_by_what_was_found(seven):
    manifest, results = seven
    good = by_image(result for result in results if result["score"] >= 0.3)
    ranks = ranked(read_objects(manifest, "validation"), good, labels(IDS))
    assert [(one.place, round(one.score, 2)) for one in ranks] == [(0, 0.67), (1, 0), (2, 0.67), (3, 1), (4, 0.67), (5, 0.67), (6, 0)]


def test_best_and_worst_are_shown(seven, monkeypatch):
    shown = {}

    def caught(title, columns, groups, legend=()):
        shown.update({name: [(tile.name, tile.note) for tile in tiles] for name, tiles in groups.items()})
        return Image.new("RGB", (1, 1))

    monkeypatch.setattr(detection, "sheet", caught)
    manifest, results = seven
    detection_gallery(manifest, results, IDS, each=1)
    assert shown == {"best": [("4.png", "F1 1.00")], "typical": [("1.png", "F1 0.67")], "worst": [("7.png", "F1 0.00")]}
    detection_gallery(manifest, results, IDS, score=0.05, each=1)
    assert shown["worst"] == [("7.png", "F1 0.00")]
    assert shown["best"] == [("4.png", "F1 1.00")]


def test_the_same_bytes_whatever_the_order_of_images(seven):
    manifest, results = seven
    one, other = detection_gallery(manifest, results, IDS), detection_gallery(manifest, results[::-1], IDS)
    assert one == other
    assert Image.open(io.BytesIO(one)).width > 640


def test_no_results_and_images_without_objects_are_drawn(coco):
    picture = Image.open(io.BytesIO(detection_gallery(coco.prepare(), [], IDS)))
    assert picture.width > 640


def test_a_legend_names_the_classes_that_are_shown(coco, monkeypatch):
    entries = []
    monkeypatch.setattr(detection, "sheet", lambda title, columns, groups, legend=(): entries.append(legend) or Image.new("RGB", (1, 1)))
    detection_gallery(coco.prepare(), [], IDS)
    assert [name for name, _ in entries[0]] == ["person", "stop sign", "toothbrush"]
