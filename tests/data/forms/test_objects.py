"""Images with objects, in the forms that COCO, Roboflow, YOLO and Pascal VOC have."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dbot.base.errors import UserError
from dbot.data.manifest import Manifest
from dbot.data.objects.annotations import ground_truth, read_objects
from dbot.params.datasets import Check, Dataset, Split
from tests.data.forms.conftest import Prepared, write, zipped
from tests.data.forms.makers import (
    BOX_LINE,
    HEIGHT,
    POLYGON_LINE,
    SQUARE,
    WIDTH,
    coco_archives,
    dsb,
    object_mask,
    picture,
    roboflow,
    voc,
    yolo,
)

Declare = Callable[..., Dataset]

PARTS = ("train", "validation")


def refusal(prepared: Prepared, dataset: Dataset) -> str:
    with pytest.raises(UserError) as error:
        prepared(dataset)
    assert len(error.value.problems) == 1
    return str(error.value)


class TestZips:
    def dataset(self, declare: Declare, root: Path) -> Dataset:
        splits = {
            part: Split(images=f"{name}2017", annotations=f"annotations/instances_{name}2017.json")
            for part, name in zip(PARTS, ("train", "val"), strict=True)
        }
        return declare(root, "coco", **splits)

    def test_they_give_the_set_that_they_unpack_to(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        for archive, files in coco_archives().items():
            zipped(tmp_path / "zips" / archive, files)
            write(tmp_path / "set", files)
        expected, found = (prepared(self.dataset(declare, tmp_path / name)) for name in ("set", "zips"))
        assert expected.root == tmp_path / "set"
        assert found.root != tmp_path / "zips"
        assert found.digest == expected.digest
        assert found.annotation_files == expected.annotation_files
        assert read_objects(found, "train").boxes.tolist() == [[2, 3, 8, 9], [2, 3, 8, 9]]
        assert (found.root / found.samples("train").paths[0]).read_bytes() == picture(1)

    def test_what_is_unpacked_already_is_not_copied(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        for archive, files in coco_archives().items():
            zipped(tmp_path / "set" / archive, files)
            write(tmp_path / "set", files)
        assert prepared(self.dataset(declare, tmp_path / "set")).root == tmp_path / "set"

    def test_half_of_it_may_be_unpacked(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        for number, (archive, files) in enumerate(coco_archives().items()):
            write(tmp_path / "set", files) if number else zipped(tmp_path / "set" / archive, files)
        assert prepared(self.dataset(declare, tmp_path / "set")).counts == {"train": 3, "validation": 3}

    def test_an_image_that_no_zip_holds_is_named(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        for archive, files in coco_archives().items():
            files.pop("val2017/8.jpg", None)
            zipped(tmp_path / "set" / archive, files)
        assert "val2017/8.jpg: is missing, but image 8" in refusal(prepared, self.dataset(declare, tmp_path / "set"))

    def test_half_a_zip_is_named(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        for archive, files in coco_archives().items():
            path = zipped(tmp_path / "set" / archive, files)
        path.write_bytes(path.read_bytes()[:-30])
        assert "val2017.zip: is not an archive that can be read" in refusal(prepared, self.dataset(declare, tmp_path / "set"))

    def test_a_damaged_image_in_a_zip_is_named(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        for archive, files in coco_archives().items():
            path = zipped(tmp_path / "set" / archive, files)
        content = bytearray(path.read_bytes())
        content[60:90] = bytes(30)
        path.write_bytes(content)
        assert "val2017/7.jpg can't be read from it" in refusal(prepared, self.dataset(declare, tmp_path / "set"))


class TestRoboflow:
    @pytest.mark.parametrize("in_zip", [False, True])
    @pytest.mark.parametrize("named", ["valid", "val"])
    def test_its_class_for_all_is_left_out(self, declare: Declare, tmp_path: Path, prepared: Prepared, in_zip: bool, named: str) -> None:
        if in_zip:
            zipped(tmp_path / "set/fruits.v1.coco.zip", roboflow())
        else:
            write(tmp_path / "set", roboflow())
        manifest = prepared(declare(tmp_path / "set", "coco-roboflow", validation=Split(images=named)))
        assert manifest.classes == ["apple", "pear"]
        assert manifest.counts == {"train": 3, "validation": 3}
        objects = read_objects(manifest, "train")
        assert objects.labels.tolist() == [2, 2]
        assert objects.boxes.tolist() == [[2, 3, 8, 9], [2, 3, 8, 9]]
        assert (manifest.root / manifest.samples("validation").paths[1]).read_bytes() == picture(8)

    def test_a_first_class_that_is_used_stays(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        root = write(tmp_path / "set", roboflow(category=0))
        assert prepared(declare(root, "coco-roboflow", validation=Split(images="valid"))).classes == ["fruits", "apple", "pear"]

    def test_boxes_alone_are_refused_in_a_line(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        files = {name: file.replace(json.dumps([SQUARE]).encode(), b"[]") for name, file in roboflow().items()}
        said = refusal(prepared, declare(write(tmp_path / "set", files), "coco-roboflow", validation=Split(images="valid")))
        assert "4 objects are boxes without masks; write datasets.it.masks: none to train a detector of boxes alone" in said
        manifest = prepared(declare(tmp_path / "set", "coco-roboflow", validation=Split(images="valid"), masks="none"))
        assert read_objects(manifest, "train").target(0)["boxes"].tolist() == [[2, 3, 8, 9]]

    def test_asked_for_as_coco_it_is_recognised(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        split = Split(images="train2017", annotations="annotations/a.json")
        declared = declare(write(tmp_path / "set", roboflow()), "coco", train=split, validation=split)
        assert "here is Roboflow" not in refusal(prepared, declared)
        declared = declare(tmp_path / "set", "coco", train=Split(images="train"), validation=Split(images="valid"))
        assert "looks like Roboflow's COCO export, write datasets.it.layouts: [coco-roboflow]" in refusal(prepared, declared)


class TestYolo:
    @pytest.mark.parametrize("folders", [("train/{}", "valid/{}"), ("{}/train", "{}/val")])
    def test_polygons_become_masks(self, declare: Declare, tmp_path: Path, prepared: Prepared, folders: tuple[str, str]) -> None:
        manifest = prepared(declare(write(tmp_path / "set", yolo(POLYGON_LINE, folders=folders)), "yolo"))
        assert manifest.classes == ["apple", "pear"]
        assert manifest.counts == {"train": 2, "validation": 2}
        objects = read_objects(manifest, "train")
        assert objects.boxes.tolist() == [[2, 3, 8, 9]]
        assert objects.labels.tolist() == [2]
        assert objects.target(0)["masks"].numpy().sum() == 36
        assert objects.target(1)["boxes"].shape == (0, 4)

    def test_boxes_alone_are_refused_in_a_line(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        said = refusal(prepared, declare(write(tmp_path / "set", yolo(BOX_LINE)), "yolo"))
        assert "2 objects are boxes without masks" in said
        manifest = prepared(declare(tmp_path / "set", "yolo", masks="none"))
        assert read_objects(manifest, "train").boxes.tolist() == [[6, 3, 10, 9]]

    def test_without_masks_a_polygon_is_its_box(
        self, declare: Declare, tmp_path: Path, prepared: Prepared, capsys: pytest.CaptureFixture[str]
    ) -> None:
        manifest = prepared(declare(write(tmp_path / "set", yolo(POLYGON_LINE, BOX_LINE)), "yolo", masks="none"))
        assert read_objects(manifest, "train").boxes.tolist() == [[2, 3, 8, 9], [6, 3, 10, 9]]
        assert "1 of 2 annotations have masks, which are passed over" in capsys.readouterr().out

    def test_a_box_among_polygons_is_named_by_its_line_or_left_out(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        declared = declare(write(tmp_path / "set", yolo(POLYGON_LINE, BOX_LINE)), "yolo")
        assert "labels/a.txt, line 2" in refusal(prepared, declared)
        check = Check(decode="all", unreadable="refuse", annotations="skip")
        manifest = prepared(declared.model_copy(update={"check": check}))
        assert manifest.defects == {"undecodable mask": 2}
        assert len(read_objects(manifest, "train").boxes) == 1

    def test_key_points_behind_a_box_are_passed_over(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        files = yolo(BOX_LINE.replace("\n", " 0.5 0.5 2 0.6 0.6 2\n"))
        files["data.yaml"] = json.dumps({**json.loads(files["data.yaml"]), "kpt_shape": [2, 3]}).encode()
        manifest = prepared(declare(write(tmp_path / "set", files), "yolo", masks="none"))
        assert read_objects(manifest, "train").boxes.tolist() == [[6, 3, 10, 9]]

    @pytest.mark.parametrize("line", ["2 0.1 0.1 0.2 0.2\n", "0 0.1 0.1\n", "cat 0.1 0.1 0.2 0.2\n", "0.5 0 0 1 1\n"])
    def test_lines_that_say_nothing_are_named(self, declare: Declare, tmp_path: Path, prepared: Prepared, line: str) -> None:
        assert "labels/a.txt, line 1: is not a class below 2" in refusal(prepared, declare(write(tmp_path / "set", yolo(line)), "yolo"))

    def test_folders_that_moved_are_found(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        files = yolo(POLYGON_LINE, folders=("{}/train", "{}/val"))
        files["data.yaml"] = b"path: /home/someone/set\ntrain: /gone/images\nval: /gone/val\nnames: {0: apple, 1: pear}\n"
        assert prepared(declare(write(tmp_path / "set", files), "yolo")).counts == {"train": 2, "validation": 2}


class TestVoc:
    def dataset(self, declare: Declare, root: Path) -> Dataset:
        return declare(root, "voc", train=Split(images="Segmentation/train"), validation=Split(images="val"))

    @pytest.mark.parametrize("below", ["", "VOCdevkit/VOC2012/"])
    @pytest.mark.parametrize("in_zip", [False, True])
    def test_objects_get_the_masks_of_their_numbers(
        self, declare: Declare, tmp_path: Path, prepared: Prepared, below: str, in_zip: bool
    ) -> None:
        files = {f"{below}{name}": file for name, file in voc().items()}
        if in_zip:
            zipped(tmp_path / "set/voc.zip", files)
        else:
            write(tmp_path / "set", files)
        manifest = prepared(self.dataset(declare, tmp_path / "set" / ("" if in_zip else below)))
        assert manifest.classes == ["cow", "sheep"]
        target = read_objects(manifest, "train").target(0)
        assert target["boxes"].tolist() == [[2, 3, 8, 9], [2, 3, 8, 9]]
        assert target["labels"].tolist() == [2, 1]
        assert target["masks"].numpy().sum(axis=(1, 2)).tolist() == [36, 8]

    def test_difficult_objects_are_neither_learnt_nor_scored(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        manifest = prepared(self.dataset(declare, write(tmp_path / "set", voc())))
        assert [entry["iscrowd"] for entry in ground_truth(manifest)["annotations"]] == [0, 1]

    def test_boxes_alone_are_refused_in_a_line(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        declared = self.dataset(declare, write(tmp_path / "set", voc(masks=False)))
        assert "4 objects are boxes without masks; write datasets.it.masks: none" in refusal(prepared, declared)
        manifest = prepared(declared.model_copy(update={"masks": "none"}))
        target = read_objects(manifest, "train").target(0)
        assert target["boxes"].tolist() == [[2, 3, 8, 9], [2, 3, 8, 9]]
        assert target["labels"].tolist() == [2, 1]
        assert [entry["iscrowd"] for entry in ground_truth(manifest)["annotations"]] == [0, 1]

    def test_without_masks_all_images_with_boxes_are_found(
        self, declare: Declare, tmp_path: Path, prepared: Prepared, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Where nobody names the lists: not only those with masks, whose maps are not read."""
        lists = {f"ImageSets/Main/{part}.txt": name for part, name in (("train", b"a\nb\n"), ("val", b"b\n"))}
        root = write(tmp_path / "set", {**voc(), **lists, "ImageSets/Segmentation/val.txt": b"b\n"})
        write(root, {"SegmentationObject/a.png": b"broken"})
        found = Dataset(root=str(root), masks="none", check=Check(decode="all", meant=["shared-images"]))
        assert prepared(found).counts == {"train": 2, "validation": 1}
        assert "SegmentationObject: the masks there are passed over: datasets.it.masks is none" in capsys.readouterr().out
        assert "SegmentationObject/a.png" in refusal(prepared, found.model_copy(update={"masks": "learnt"}))

    def test_damaged_xml_is_named(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        root = write(tmp_path / "set", {**voc(), "Annotations/a.xml": b"<annotation><size>"})
        assert "Annotations/a.xml: is not XML" in refusal(prepared, self.dataset(declare, root))

    def test_boxes_that_are_shares_are_asked_about(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        box = b"<bndbox><xmin>0.1</xmin><ymin>0.1</ymin><xmax>0.5</xmax><ymax>0.5</ymax></bndbox>"
        content = b"<annotation><object><name>cow</name>" + box + b"</object></annotation>"
        root = write(tmp_path / "set", {**voc(), "Annotations/a.xml": content})
        said = refusal(prepared, self.dataset(declare, root).model_copy(update={"masks": "none"}))
        assert "Annotations/a.xml: is not an annotation of Pascal VOC (the box of object 1 goes up to 0.5, 0.5: is it a share" in said

    def test_an_object_without_a_box_is_named(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        content = b"<annotation><object><name>cow</name></object></annotation>"
        root = write(tmp_path / "set", {**voc(), "Annotations/a.xml": content})
        assert "Annotations/a.xml: is not an annotation of Pascal VOC" in refusal(prepared, self.dataset(declare, root))

    def test_where_coco_is_asked_for_its_xml_is_recognised(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        split = Split(images="JPEGImages", annotations="annotations.json")
        declared = declare(write(tmp_path / "set", voc()), "coco", train=split, validation=split)
        said = refusal(prepared, declared)
        assert said.startswith(f"{tmp_path / 'set'}: here is Pascal VOC's XML, write datasets.it.layouts: [voc]")


class TestInstanceMasks:
    """DSB 2018: of each image a folder, and in it a PNG for each object."""

    def check(self, manifest: Manifest, part: str = "train") -> None:
        assert manifest.classes == ["object"]
        objects = read_objects(manifest, part)
        assert np.diff(objects.starts).tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
        target = objects.target(2)
        assert target["boxes"].tolist() == [[1, 0, 3, 3], [6, 1, 8, 4]]
        assert np.array_equal(target["masks"].numpy(), np.stack([object_mask(0, 1), object_mask(1, 6)]) > 0)

    @pytest.mark.parametrize("layouts", [[], ["instance-masks"]])
    def test_each_object_has_its_mask(self, tmp_path: Path, prepared: Prepared, layouts: list[Any]) -> None:
        root = write(tmp_path / "set", dsb("train") | dsb("val"))
        manifest = prepared(Dataset(root=str(root), layouts=layouts))
        assert manifest.counts == {"train": 10, "validation": 10}
        self.check(manifest)
        self.check(manifest, "validation")

    def test_kaggles_zips_and_its_solution(self, tmp_path: Path, prepared: Prepared) -> None:
        for part, masks in (("stage1_train", True), ("stage1_test", False)):
            files = dsb(part, masks=masks)
            zipped(tmp_path / f"set/{part}.zip", {name.removeprefix(f"{part}/"): content for name, content in files.items()})
        lines = ["ImageId,EncodedPixels,Height,Width,Usage"]
        for number in range(10):
            for object_ in range(number % 3):
                first = (5 * object_ + 1) * HEIGHT + object_ + 1
                lines.append(f"stage1_test{number},{first} 3 {first + HEIGHT} 3,{HEIGHT},{WIDTH},Public")
        write(tmp_path / "set", {"stage1_solution.csv": "\n".join(lines).encode()})
        manifest = prepared(Dataset(root=str(tmp_path / "set")))
        self.check(manifest)
        self.check(manifest, "validation")
        (tmp_path / "set/stage1_solution.csv").unlink()
        said = refusal(prepared, Dataset(root=str(tmp_path / "set")))
        assert "stage1_solution.csv is missing; get it, or name folders of stage1_train/ in lists" in said

    def test_lists_part_one_folder(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        lists = {"a.txt": b"train1\ntrain2\n", "b.txt": b"train4\n"}
        root = write(tmp_path / "set", dsb("train") | lists)
        parts = {part: Split(images="train", list_file=name) for part, name in zip(PARTS, lists, strict=True)}
        declared = declare(root, "instance-masks", **parts)
        assert prepared(declared).counts == {"train": 2, "validation": 1}
        write(root, {"b.txt": b"other\n"})
        assert "b.txt: names other, and train/ holds no folder of it" in refusal(prepared, declared)
