"""Odd but legal COCO files hold what pycocotools finds in them, or are refused in one line."""

import contextlib
import copy
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from dbot.base.errors import UserError
from dbot.data.manifest import Manifest
from dbot.data.objects.annotations import ground_truth, read_objects
from dbot.data.objects.results import TWELVE, score
from dbot.data.prepare import prepare
from dbot.params.datasets import Check, Dataset, Split

IDS = st.one_of(st.integers(-3, 5), st.integers(-(2**63), 2**63 - 1))
SIDES = st.integers(1, 14)
NAMES = ("{}.png", "ein Bild {}.png", "größer/日本 {}.png", "./{}.PNG", "a#b%20{}.png", "deep/er/{}.png")
JUNK = st.sampled_from([{}, {"license": 3, "flickr_url": None, "date_captured": 0}, {"attributes": {"occluded": True}, "keypoints": []}])
"""What files hold besides, and nothing is read from."""


@st.composite
def runs(draw: st.DrawFn, height: int, width: int) -> dict[str, Any]:
    """Run lengths of a mask that is seldom empty, compressed or not, with runs of no length and sizes as floats among them."""
    pixels = draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    encoded = rle.encode(np.asfortranarray(np.array(pixels, dtype=np.uint8).reshape(height, width)))
    if draw(st.booleans()):
        return {"size": [height, width], "counts": encoded["counts"].decode()}
    begin = draw(st.integers(0, height * width - 1))
    length = draw(st.integers(1, height * width - begin))
    counts = draw(st.sampled_from([[begin, length], [begin, 0, 0, length]]))
    size = draw(st.sampled_from([[height, width], [float(height), float(width)]]))
    return {"size": size, "counts": [*counts, height * width - begin - length]}


@st.composite
def polygons(draw: st.DrawFn, height: int, width: int) -> list[list[float]]:
    """One polygon or several, of points that may lie on each other, on a line, or beyond the border."""
    side = max(height, width)
    numbers = st.one_of(st.integers(-side, 2 * side), st.floats(-side, 2 * side), st.floats(0, 1))
    points = st.integers(3, 6).flatmap(lambda count: st.lists(numbers, min_size=2 * count, max_size=2 * count))
    return draw(st.lists(points, min_size=1, max_size=3))


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    image_ids = draw(st.lists(IDS, min_size=1, max_size=3, unique=True))
    category_ids = draw(st.lists(IDS, min_size=1, max_size=3, unique=True))
    images, annotations = [], []
    for place, number in enumerate(image_ids):
        height, width = draw(SIDES), draw(SIDES)
        name = draw(st.sampled_from(NAMES)).format(place)
        images.append({"id": number, "file_name": name, "height": height, "width": width, **draw(JUNK)})
        for _ in range(draw(st.integers(0, 3))):
            form = draw(st.one_of(runs(height, width), polygons(height, width)))
            if not isinstance(form, list) and draw(st.booleans()) and isinstance(form["counts"], str):
                box = rle.toBbox({"size": form["size"], "counts": form["counts"]}).tolist()
            else:
                corner = [draw(st.floats(-2, side - 0.5)) for side in (width, height)]
                box = [*corner, *(draw(st.floats(2.5, 20)) for _ in corner)]
            entry = {"image_id": number, "category_id": draw(st.sampled_from(category_ids)), "bbox": box, "segmentation": form}
            entry |= draw(st.sampled_from([{}, {"iscrowd": 0}, {"iscrowd": 1}, {"iscrowd": 0, "area": 3.5, "score": 1}]))
            annotations.append(entry)
    annotations = [{"id": place, **draw(JUNK), **entry} for place, entry in enumerate(draw(st.permutations(annotations)))]
    categories = [{"id": number, "name": f"c{number}", "supercategory": None} for number in draw(st.permutations(category_ids))]
    content = {"images": draw(st.permutations(images)), "annotations": annotations, "categories": categories}
    return draw(st.sampled_from([{}, {"info": {}, "licenses": []}, {"info": None, "licenses": "CC", "type": "instances"}])) | content


@st.composite
def spelled(draw: st.DrawFn, content: dict[str, Any]) -> dict[str, Any]:
    """The same file with some of its whole numbers in quotes or as floats."""

    def one(value: int) -> Any:
        ways = [value, str(value), *([float(value), f"{value}.0"] if abs(value) < 2**53 else [])]
        return draw(st.sampled_from(ways))

    numbers = {"images": ("id", "height", "width"), "annotations": ("image_id", "category_id"), "categories": ("id",)}
    if not draw(st.booleans()):
        return content
    return content | {
        section: [{key: one(value) if key in keys else value for key, value in entry.items()} for entry in content[section]]
        for section, keys in numbers.items()
    }


@st.composite
def found_in(draw: st.DrawFn, content: dict[str, Any]) -> list[dict[str, Any]]:
    """Detections: some of the objects, shifted or not, of their class or another, and a box of nothing."""
    results = []
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    for entry in content["annotations"]:
        if draw(st.booleans()):
            height, width = sizes[entry["image_id"]]
            mask = np.zeros((height, width), dtype=np.uint8, order="F")
            left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
            mask[top : top + draw(st.integers(1, 8)), left : left + draw(st.integers(1, 8))] = 1
            shape = rle.encode(mask) if draw(st.booleans()) else mask_of(entry, height, width)
            category = draw(st.sampled_from([entry["category_id"], content["categories"][0]["id"]]))
            found = {"image_id": entry["image_id"], "category_id": category, "score": draw(st.sampled_from([0.1, 0.5, 0.9]))}
            shifted = [side + draw(st.sampled_from([0, 0, 0.5])) for side in entry["bbox"]]
            results.append({**found, "bbox": shifted, "segmentation": {**shape, "counts": shape["counts"].decode()}})
    return results


def mask_of(entry: dict[str, Any], height: int, width: int) -> dict[str, Any]:
    """The compressed run lengths of an annotation, by pycocotools alone."""
    own = COCO()
    own.imgs = {entry["image_id"]: {"height": height, "width": width}}
    return dict(rle.encode(np.asfortranarray(own.annToMask(entry))))


def written(folder: Path, content: dict[str, Any], seed: int) -> None:
    folder.mkdir()
    for image in content["images"]:
        pixels = np.random.default_rng(seed).integers(0, 256, (image["height"], image["width"], 3), dtype=np.uint8)
        (folder / image["file_name"]).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / image["file_name"])
    folder.with_suffix(".json").write_text(json.dumps(content), encoding="utf-8")


def scores_of(content: dict[str, Any], results: list[dict[str, Any]], shape: str) -> list[float]:
    """COCO's twelve numbers by pycocotools; areas and crowds that the file doesn't state are filled in, and annotations numbered from 1."""
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    entries = []
    for number, entry in enumerate(content["annotations"], start=1):
        area = float(rle.area(mask_of(entry, *sizes[entry["image_id"]])))
        entries.append({"iscrowd": 0, "area": area, **entry, "id": number})
    true = COCO()
    true.dataset = {**content, "info": {}, "annotations": entries}
    true.createIndex()
    key = "bbox" if shape == "bbox" else "segmentation"
    found = [{name: result[name] for name in ("image_id", "category_id", "score", key)} for result in results]
    evaluation = COCOeval(true, true.loadRes(copy.deepcopy(found)), shape)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return list(evaluation.stats)


def declared(root: Path) -> Dataset:
    return Dataset(
        title="odd",
        layouts=["coco"],
        root=str(root),
        train=Split(images="train", annotations="train.json"),
        validation=Split(images="train", annotations="train.json"),
        classes=None,
        licence="none",
        source="drawn by the test",
        check=Check(decode="none", unreadable="refuse", meant=["shared-images", "unseen-classes", "odd-boxes"]),
    )


def read(root: Path) -> Manifest | None:
    """The prepared set, or None where it was refused in one line."""
    try:
        return prepare("odd", declared(root), root / "out", root / "copy", threads=1, progress_seconds=1e9)
    except UserError as error:
        if len(error.problems) != 1 or "\n" in error.problems[0]:
            raise
        return None


@settings(max_examples=60, deadline=None)
@given(content=files(), data=st.data())
def test_objects_and_scores_are_those_of_pycocotools_or_a_line_says_why_not(content: dict[str, Any], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
        root = Path(name)
        written(root / "train", content, seed=1)
        (root / "train.json").write_text(json.dumps(data.draw(spelled(content))), encoding="utf-8")
        manifest = read(root)
        event("refused" if manifest is None else "compared")
        if manifest is None:
            return
        objects, theirs = read_objects(manifest, "train"), COCO()
        theirs.dataset = content
        theirs.createIndex()
        if results := data.draw(found_in(content)):
            ours = score(ground_truth(manifest, "train"), results).summary
            for overlap, shape in (("box", "bbox"), ("mask", "segm")):
                twelve = [ours.get(f"{overlap}_{number}", -100) / 100 for number in TWELVE]
                assert twelve == pytest.approx(scores_of(content, results, shape), abs=1e-9)
    assert objects.image_ids.tolist() == sorted(theirs.getImgIds())
    label_of = {number: label for label, number in enumerate(sorted(theirs.getCatIds()), start=1)}
    for number, image_id in enumerate(objects.image_ids.tolist()):
        expected = [entry for entry in theirs.imgToAnns[image_id] if not entry.get("iscrowd")]
        target = objects.target(number)
        assert target["labels"].tolist() == [label_of[entry["category_id"]] for entry in expected]
        for box, mask, entry in zip(target["boxes"].numpy(), target["masks"].numpy(), expected, strict=True):
            left, top, width, height = entry["bbox"]
            assert np.array_equal(box, np.array([left, top, left + width, top + height], dtype=np.float32))
            assert np.array_equal(mask, theirs.annToMask(entry))


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 70) | st.floats() | st.sampled_from(["1", "1.0", "IMG_7", "", "x.png", 2**70]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["size", "counts", "id"]), inner, max_size=2),
    max_leaves=4,
)
SOUND: dict[str, list[dict[str, Any]]] = {
    "images": [{"id": 1, "file_name": "a.png", "height": 6, "width": 8}, {"id": 2, "file_name": "b.png", "height": 6, "width": 8}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 3, "iscrowd": 0, "bbox": [1, 1, 4, 4], "segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]]}
    ],
    "categories": [{"id": 3, "name": "a"}],
}


@settings(max_examples=150, deadline=None)
@given(section=st.sampled_from(sorted(SOUND)), data=st.data())
def test_any_value_at_any_place_is_read_or_refused_in_one_line(section: str, data: st.DataObject) -> None:
    content = json.loads(json.dumps(SOUND))
    key = data.draw(st.sampled_from(sorted(content[section][0])))
    content[section][0][key] = data.draw(ANY)
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
        root = Path(name)
        written(root / "train", SOUND, seed=1)
        (root / "train.json").write_text(json.dumps(content))
        manifest = read(root)
        if manifest is None:
            return
        objects = read_objects(manifest, "train")
    assert len(objects) == 2
