import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dbot.base.errors import UserError
from dbot.data.manifest import Manifest
from dbot.data.objects.annotations import ground_truth, read_objects
from tests.data.objects.conftest import CocoSet, annotation, content

BROKEN: dict[str, dict[str, Any]] = {
    "unknown image": {"image_id": 1000},
    "unknown category": {"category_id": 2},
    "duplicate id": {"id": 4},
    "broken box": {"bbox": [1, 2, 3]},
    "empty box": {"bbox": [2, 3, 6, 0]},
    "box outside its image": {"bbox": [-9, 3, 6, 6]},
    "undecodable mask": {"segmentation": {"size": [12, 16], "counts": [5, 5]}},
    "mask without a pixel": {"segmentation": {"size": [12, 16], "counts": [192]}},
    "box or mask as shares": {"bbox": [0.1, 0.2, 0.3, 0.4], "segmentation": [[0.1, 0.2, 0.4, 0.2, 0.4, 0.6, 0.1, 0.6]]},
}


@pytest.mark.parametrize("kind", BROKEN)
class TestAnnotations:
    def damage(self, coco: CocoSet, kind: str) -> None:
        written = content()
        written["annotations"].insert(5, annotation(77, 3, **BROKEN[kind]))
        coco.write("train", written)

    def test_is_refused_by_file_and_id(self, coco: CocoSet, kind: str) -> None:
        self.damage(coco, kind)
        with pytest.raises(UserError, match=r"datasets\.it\.check\.annotations: skip") as error:
            coco.prepare()
        said = str(error.value)
        assert "\n" not in said
        assert str(coco.folder / "set/train.json") in said
        assert f"annotation {BROKEN[kind].get('id', 77)} of image {BROKEN[kind].get('image_id', 3)} (place 5" in said

    def test_is_left_out_and_counted(self, coco: CocoSet, kind: str) -> None:
        sound = coco.prepare(out="sound")
        objects, truth = read_objects(sound, "train"), ground_truth(sound, "train")
        self.damage(coco, kind)
        manifest = coco.prepare("skip")
        assert manifest.defects == {kind: 1}
        assert manifest.skipped == {"train": [5]}
        assert "train.json: annotation" in manifest.examples[0]
        assert read_objects(manifest, "train").boxes.tolist() == objects.boxes.tolist()
        assert ground_truth(manifest, "train") == truth


class TestImages:
    def check(self, coco: CocoSet, kind: str, said: str) -> Manifest:
        with pytest.raises(UserError) as error:
            coco.prepare()
        assert said in str(error.value)
        manifest = coco.prepare("skip")
        assert manifest.defects == {kind: 1}
        assert manifest.skipped == {}
        assert "3" not in manifest.samples("train").annotations
        assert 3 not in read_objects(manifest, "train").image_ids
        assert manifest.counts == {"train": 3, "validation": 4}
        return manifest

    def test_missing(self, coco: CocoSet) -> None:
        (coco.folder / "set/train/3.png").unlink()
        self.check(coco, "missing image", "train/3.png: is missing, but image 3 of train.json names it")

    def test_without_a_size(self, coco: CocoSet) -> None:
        written = content()
        del written["images"][1]["width"]
        coco.write("train", written)
        self.check(coco, "image without size", "train.json: image 3 states no height and width")

    def test_of_another_size(self, coco: CocoSet, picture: Callable[..., Path]) -> None:
        picture(coco.folder / "set/train/3.png", size=(12, 16))
        self.check(coco, "image of another size", "train/3.png: is (16, 12) pixels (height, width), image 3 of train.json says (12, 16)")

    def test_turned_by_its_exif_has_the_size_it_is_seen_in(self, coco: CocoSet, picture: Callable[..., Path]) -> None:
        from PIL import Image

        exif = Image.Exif()
        exif[0x0112] = 6
        picture(coco.folder / "set/train/3.png", size=(12, 16), exif=exif)
        assert coco.prepare().defects == {}


def test_sound_set_says_what_there_is(coco: CocoSet, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = coco.prepare()
    assert (manifest.defects, manifest.examples, manifest.skipped) == ({}, [], {})
    assert "train.json: 4 objects, 2 crowds, 2 images without objects" in capsys.readouterr().out


def test_boxes_may_reach_over_the_border(coco: CocoSet) -> None:
    written = content()
    written["annotations"].append(annotation(77, 3, bbox=[-1, -1, 30, 30]))
    coco.write("train", written)
    assert coco.prepare().defects == {}


def test_crowds_in_quotes_are_numbers(coco: CocoSet) -> None:
    written = content()
    coco.write("train", {**written, "annotations": [{**entry, "iscrowd": str(entry["iscrowd"])} for entry in written["annotations"]]})
    assert read_objects(coco.prepare(), "train").crowd.sum() == 2


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ([2, 3, 8, 3, 8, 9], "its numbers stand alone, where a list of polygons must"),
        ([[[2, 3], [8, 3], [8, 9]]], "its points are pairs, where x, y, x, y and so on must follow each other"),
    ],
)
def test_polygons_in_too_few_or_too_many_brackets_are_said(coco: CocoSet, segmentation: Any, said: str) -> None:
    coco.write("train", {**content(), "annotations": [annotation(77, 3, segmentation=segmentation)]})
    with pytest.raises(UserError, match=said):
        coco.prepare()


def test_a_pipe_is_no_image(coco: CocoSet) -> None:
    (coco.folder / "set/train/3.png").unlink()
    os.mkfifo(coco.folder / "set/train/3.png")
    with pytest.raises(UserError, match=r"train/3\.png: is missing"):
        coco.prepare()


def test_annotations_of_unused_images_are_not_looked_at(coco: CocoSet) -> None:
    written = content()
    written["annotations"] += [annotation(100 + number, number, bbox=None) for number in (7, 3, 5, 9)]
    coco.write("train", written)
    assert coco.prepare("skip", limit=3).defects == {"broken box": 3}


def test_examples_are_few_and_counts_are_whole(coco: CocoSet) -> None:
    written = content()
    written["annotations"] += [annotation(100 + number, 3, bbox=None) for number in range(30)]
    coco.write("train", written)
    manifest = coco.prepare("skip")
    assert manifest.defects == {"broken box": 30}
    assert len(manifest.examples) == 20
    assert manifest.skipped == {"train": list(range(6, 36))}


def test_digest_knows_what_was_left_out(coco: CocoSet) -> None:
    first = coco.prepare()
    assert coco.prepare("skip", out="again").digest == first.digest
    written = content()
    written["annotations"].append(annotation(77, 3, bbox=None))
    coco.write("train", written)
    manifest = coco.prepare("skip")
    assert manifest.digest != first.digest


@pytest.mark.parametrize("kept", [[], [annotation(9, 9, iscrowd=1)], [annotation(9, 9, bbox=None)]])
def test_part_without_any_object_is_refused(coco: CocoSet, kept: list[dict[str, Any]]) -> None:
    coco.write("train", {**content(), "annotations": kept})
    with pytest.raises(UserError, match=r"train\.json has no usable object"):
        coco.prepare("skip")


@pytest.mark.parametrize("entry", [3, None, [], {"image_id": []}])
def test_what_is_no_annotation_is_named(coco: CocoSet, entry: Any) -> None:
    coco.write("train", {**content(), "annotations": [entry]})
    with pytest.raises(UserError, match=r"train\.json: is not a COCO annotation file"):
        coco.prepare("skip")


class TestShares:
    @pytest.mark.parametrize(
        "changes",
        [
            {"bbox": [0.1, 0.2, 0.3, 0.4], "segmentation": [[0.1, 0.2, 0.4, 0.2, 0.4, 0.6, 0.1, 0.6]]},
            {"bbox": [0.0, 0.0, 1.0, 1.0]},
            {"segmentation": [[0.1, 0.2, 0.4, 0.2, 0.4, 0.6, 0.1, 0.6]]},
        ],
        ids=["both", "the box", "the polygon"],
    )
    def test_are_asked_about_and_never_learnt_in_silence(self, coco: CocoSet, changes: dict[str, Any]) -> None:
        written = content()
        written["annotations"] = [annotation(entry["id"], entry["image_id"], **changes) for entry in written["annotations"]]
        coco.write("train", written)
        with pytest.raises(UserError, match="of the image\\?") as error:
            coco.prepare()
        assert "\n" not in str(error.value)
        with pytest.raises(UserError, match=r"train\.json has no usable object"):
            coco.prepare("skip")

    def test_a_speck_is_counted_and_evaluated(self, coco: CocoSet, capsys: pytest.CaptureFixture[str]) -> None:
        written = content()
        written["annotations"].append(annotation(77, 3, bbox=[4.1, 5.1, 0.3, 0.3], segmentation=[[4.1, 5.1, 4.4, 5.1, 4.4, 5.4]]))
        coco.write("train", written)
        manifest = coco.prepare()
        assert manifest.defects == {}
        assert len(ground_truth(manifest, "train")["annotations"]) == 7
        assert "train.json: 1 masks are too small to have a pixel" in capsys.readouterr().out


@pytest.mark.parametrize("segmentation", [[], [[]], {}, None, [[10, 10, 12, 12]]])
@pytest.mark.parametrize("annotations", ["refuse", "skip"])
def test_boxes_alone_are_refused_for_what_they_are(coco: CocoSet, segmentation: Any, annotations: str) -> None:
    written = content()
    written["annotations"] = [{**entry, "segmentation": segmentation} for entry in written["annotations"]]
    coco.write("train", written)
    with pytest.raises(UserError, match=r"train\.json: none of the 6 annotations has a mask, only boxes; write datasets\.it\.masks: none"):
        coco.prepare(annotations)


def test_nothing_but_crowds_is_said(coco: CocoSet) -> None:
    written = content()
    written["annotations"] = [{**entry, "iscrowd": 1} for entry in written["annotations"]]
    coco.write("train", written)
    with pytest.raises(UserError, match="all 6 usable annotations are crowds"):
        coco.prepare()


class TestNumbersInQuotes:
    def quoted(self, coco: CocoSet, **keys: tuple[str, ...]) -> None:
        for part in ("train", "val"):
            written = content()
            for section, names in keys.items():
                written[section] = [{**entry, **{key: str(entry[key]) for key in names}} for entry in written[section]]
            coco.write(part, written)

    @pytest.mark.parametrize(
        "keys",
        [
            {"images": ("id",), "annotations": ("image_id",)},
            {"annotations": ("image_id",)},
            {"annotations": ("category_id",)},
            {"categories": ("id",)},
            {"images": ("height", "width")},
        ],
    )
    def test_are_numbers(self, coco: CocoSet, keys: dict[str, tuple[str, ...]]) -> None:
        sound = coco.prepare(out="sound")
        objects, truth = read_objects(sound, "train"), ground_truth(sound)
        self.quoted(coco, **keys)
        manifest = coco.prepare()
        assert manifest.digest == sound.digest, "it is the same set"
        assert manifest.rows("train", "validation") == sound.rows("train", "validation")
        assert read_objects(manifest, "train").boxes.tolist() == objects.boxes.tolist()
        assert read_objects(manifest, "train").labels.tolist() == objects.labels.tolist()
        assert ground_truth(manifest) == truth

    def test_sizes_as_floats_are_sizes(self, coco: CocoSet) -> None:
        written = content()
        written["images"] = [{**image, "height": float(image["height"]), "width": float(image["width"])} for image in written["images"]]
        coco.write("train", written)
        assert coco.prepare().defects == {}

    @pytest.mark.parametrize(
        ("number", "said"), [("IMG_7", "ids are text, such as 'IMG_7'"), (2**63 + 5, "larger than 64 bits hold"), (1.5, "1.5")]
    )
    def test_what_is_no_number_is_said(self, coco: CocoSet, number: Any, said: str) -> None:
        written = content()
        written["images"][0]["id"] = number
        coco.write("train", written)
        with pytest.raises(UserError, match=said) as error:
            coco.prepare()
        assert len(error.value.problems) == 1
        assert "\n" not in str(error.value)
