"""Forms that nobody names, by all that lies at the root; and folders as people have them, in the forms too."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dbot.base.errors import UserError
from dbot.data.images import read_label_map
from dbot.data.labelmaps.values import classes_of
from dbot.data.layouts.reader import READERS, found_out, read_listing
from dbot.params.datasets import Dataset, LabelMaps, Split
from tests.data.forms.conftest import jpeg, png, write, zipped
from tests.data.forms.makers import webdataset_shard

Files = dict[str, bytes]
Picture = Callable[..., Path]

TINY = {
    **{f"train/n{label}/images/n{label}_0.JPEG": jpeg(label) for label in (1, 2)},
    **{f"train/n{label}/n{label}_boxes.txt": b"" for label in (1, 2)},
    "val/images/val_0.JPEG": jpeg(3),
    "val/val_annotations.txt": b"val_0.JPEG\tn1\t0\t0\t9\t9\n",
}
FOLDERS = {f"{part}/{name}/a.jpg": jpeg(number) for number, part in enumerate(("train", "val")) for name in ("cat", "dog")}
FLAT_VALIDATION = {"train/cat/a.jpg": jpeg(0), "train/dog/b.jpg": jpeg(1), "val/c.jpg": jpeg(2)}
SOLUTION = {"LOC_val_solution.csv": b"ImageId,PredictionString\nc,cat 1 2 3 4\n"}


def of(root: Path, **settings: object) -> Dataset:
    return Dataset.model_validate({"root": str(root), **settings})


def test_images_without_labels_are_tried_last() -> None:
    assert list(READERS)[-1] == "images"


@pytest.mark.parametrize(
    ("files", "layout"),
    [
        (TINY, "tiny-imagenet"),
        (FOLDERS, "imagefolder"),
        (FLAT_VALIDATION | SOLUTION, "imagenet-kaggle"),
        (FLAT_VALIDATION, "images"),
        ({"a/b/c.jpg": jpeg(0)}, "images"),
    ],
)
def test_layouts_are_found_out(tmp_path: Path, files: Files, layout: str) -> None:
    dataset = of(write(tmp_path / "set", files))
    assert found_out("it", dataset).layouts == [layout]
    assert read_listing("it", dataset) == read_listing("it", found_out("it", dataset))


COCO_FILE = json.dumps({"images": [], "annotations": [], "categories": []}).encode()
MAP = png(np.array([[0, 1], [2, 255]]))


def coco_files(images: str, annotations: str, parts: tuple[str, str] = ("train", "val")) -> Files:
    return {name.format(part): content for part in parts for name, content in ((f"{images}/1.jpg", jpeg(0)), (annotations, COCO_FILE))}


@pytest.mark.parametrize(
    ("images", "annotations", "parts"),
    [
        ("{}2017", "annotations/instances_{}2017.json", ("train", "val")),
        ("images/{}2014", "annotations/instances_{}2014.json", ("train", "val")),
        ("images/{}", "annotations/instances_{}.json", ("train", "test")),
        ("{}", "annotations/{}.json", ("Train", "Valid")),
        ("{}", "{}.json", ("train", "validation")),
        ("{}", "{}/annotations.json", ("training", "val")),
    ],
)
@pytest.mark.parametrize("layouts", [{}, {"layouts": "coco"}])
def test_where_coco_files_lie_is_found_out(
    tmp_path: Path, images: str, annotations: str, parts: tuple[str, str], layouts: dict[str, str]
) -> None:
    found = found_out("it", of(write(tmp_path / "set", coco_files(images, annotations, parts)), **layouts))
    assert found.layouts == ["coco"]
    expected = [Split(images=images.format(part), annotations=annotations.format(part)) for part in parts]
    assert [found.train, found.validation] == expected


def test_in_cocos_zips_too(tmp_path: Path) -> None:
    files = coco_files("{}2017", "annotations/instances_{}2017.json")
    for archive, first in (("annotations_trainval2017.zip", "annotations"), ("train2017.zip", "train2017"), ("val2017.zip", "val2017")):
        zipped(tmp_path / archive, {name: content for name, content in files.items() if name.startswith(first)})
    assert found_out("it", of(tmp_path)).validation == Split(images="val2017", annotations="annotations/instances_val2017.json")


@pytest.mark.parametrize(
    ("images", "maps", "parts"),
    [
        ("images/{}/1.jpg", "annotations/{}/1.png", ("training", "validation")),
        ("{}/1.png", "{}annot/1.png", ("train", "val")),
        ("images/{}/1.jpg", "masks/{}/1.png", ("train", "test")),
        ("{}/images/1.jpg", "{}/masks/1.png", ("train", "val")),
        ("leftImg8bit/{}/ulm/1_leftImg8bit.png", "gtFine/{}/ulm/1_gtFine_labelTrainIds.png", ("train", "val")),
    ],
)
def test_where_label_maps_lie_is_found_out(tmp_path: Path, images: str, maps: str, parts: tuple[str, str]) -> None:
    files = {name.format(part): content for part in parts for name, content in ((images, jpeg(0, (2, 2))), (maps, MAP))}
    root = write(tmp_path / "set", files)
    given = {"label_maps": LabelMaps(first_class=0, void=[255, 11])} if "annot/" in maps else {}
    dataset = of(root, **given)
    assert found_out("it", dataset).layouts == ["labelmaps"]
    listing = read_listing("it", dataset)[1]
    assert [(sample.path, sample.annotation) for sample in listing.samples["train"]] == [(images.format(parts[0]), maps.format(parts[0]))]
    assert (listing.classes, listing.label_maps.void[0]) == (["0", "1", "2"], 255)


def test_cityscapes_is_read_as_it_is_downloaded(tmp_path: Path) -> None:
    """`labelTrainIds` are not in the download: the ids that are evaluated become the 19 classes, in their order."""
    files = {}
    for part, city in (("train", "ulm"), ("val", "munster")):
        files[f"leftImg8bit/{part}/{city}/{city}_1_leftImg8bit.png"] = jpeg(0, (2, 2))
        for suffix, values in (("labelIds", [[7, 33], [0, 26]]), ("instanceIds", [[7, 33], [0, 255]]), ("color", [[1, 2], [3, 4]])):
            files[f"gtFine/{part}/{city}/{city}_1_gtFine_{suffix}.png"] = png(np.array(values))
    dataset = of(write(tmp_path / "set", files))
    listing = read_listing("it", dataset)[1]
    assert listing.samples["train"][0].annotation == "gtFine/train/ulm/ulm_1_gtFine_labelIds.png"
    assert len(listing.classes) == 19
    values = read_label_map(tmp_path / "set" / listing.samples["train"][0].annotation)
    assert classes_of(values, listing.label_maps, 19, tmp_path).tolist() == [[0, 18], [255, 13]]


def test_camvids_values_are_known(tmp_path: Path) -> None:
    values = png(np.array([[0, 10], [2, 11]]))
    files = {f"{part}/1.png": jpeg(0, (2, 2)) for part in ("train", "val")} | {f"{part}annot/1.png": values for part in ("train", "val")}
    listing = read_listing("it", of(write(tmp_path / "set", files)))[1]
    assert (len(listing.classes), listing.label_maps) == (11, LabelMaps(first_class=0, void=[11]))


def test_pascal_contexts_maps_leave_open_whether_0_is_a_class(tmp_path: Path) -> None:
    """It is, in the benchmark of 60 classes; it is none in that of 59."""
    files = {f"JPEGImages/{name}.jpg": jpeg(ord(name), (2, 2)) for name in "ab"}
    files |= {f"SegmentationClassContext/{name}.png": png(np.array([[0, 59], [1, 2]])) for name in "ab"}
    files |= {f"ImageSets/SegmentationContext/{part}.txt": name for part, name in (("train", b"a"), ("val", b"b"))}
    root = write(tmp_path / "set", files)
    with pytest.raises(UserError, match="hold the values 0 to 59, and nothing says whether 0 is a class"):
        read_listing("it", of(root))
    for values, classes in (({"first_class": 1, "void": [0]}, 59), ({"first_class": 0, "void": []}, 60)):
        listing = read_listing("it", of(root, label_maps=values))[1]
        assert (len(listing.classes), listing.samples["validation"][0].path) == (classes, "JPEGImages/b.jpg")


def test_pascal_vocs_maps_go_by_its_lists(tmp_path: Path) -> None:
    files = {f"{folder}/{name}": content for name in "ab" for folder, content in (("JPEGImages", jpeg(0)), ("SegmentationClass", MAP))}
    files = {f"{name}{'.jpg' if 'JPEG' in name else '.png'}": content for name, content in files.items()}
    lists = {"ImageSets/Segmentation/train.txt": b"b\n", "ImageSets/Segmentation/val.txt": b"a\n"}
    listing = read_listing("it", of(write(tmp_path / "set", files | lists), layouts="labelmaps"))[1]
    assert [sample.path for sample in listing.samples["train"]] == ["JPEGImages/b.jpg"]
    assert (listing.classes, listing.label_maps) == (["0", "1", "2"], LabelMaps(first_class=0, void=[255]))


@pytest.mark.parametrize("layouts", [{}, {"layouts": "labelmaps"}])
def test_the_full_ade20k_is_refused_with_the_reason(tmp_path: Path, layouts: dict[str, str]) -> None:
    write(tmp_path / "set/ADE20K_2021_17_01/images/ADE/training/urban", {"ADE_1.jpg": jpeg(0), "ADE_1_seg.png": jpeg(1)})
    with pytest.raises(UserError, match="is the full ADE20K, whose colours code thousands of kinds"):
        read_listing("it", of(tmp_path / "set", **layouts))


@pytest.mark.parametrize("named", ["", "trainval"])
@pytest.mark.parametrize("layouts", [{}, {"layouts": "labelmaps"}])
def test_pascal_contexts_matlab_files_are_refused_with_the_reason(tmp_path: Path, layouts: dict[str, str], named: str) -> None:
    root = write(
        tmp_path / "set", {"trainval/2008_000002.mat": b"MATLAB 5.0", "JPEGImages/2008_000002.jpg": jpeg(0), "labels.txt": b"1: a\n"}
    )
    with pytest.raises(UserError, match=r"trainval: holds Pascal Context's 459 classes in MATLAB files.* get those as PNG"):
        read_listing("it", of(root / named, **layouts))
    split = Split(images="JPEGImages", annotations="trainval")
    with pytest.raises(UserError, match=r"trainval: holds Pascal Context's 459 classes in MATLAB files"):
        read_listing("it", of(root, layouts="labelmaps", train=split, validation=split))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({name: content for name, content in TINY.items() if name.startswith("train")}, "train/*/ (folders of classes need a part for"),
        ({"images/a.jpg": jpeg(0), "ours.json": b"{}"}, "ours.json (layout coco: name it as `annotations` of its part)"),
        ({"JPEGImages/a.jpg": jpeg(0), "Annotations/a.xml": b"<a/>"}, "Annotations/*.xml (layout voc needs"),
        ({"train/images/a.jpg": jpeg(0), "train/labels/a.txt": b"0 0 0 1 1"}, "labels/ (layout yolo needs data.yaml)"),
        ({"images/train/a.jpg": jpeg(0), "maps/train/a.npy": b""}, "maps/ (layout labelmaps needs PNGs there, called as the images)"),
    ],
)
def test_labels_that_are_not_read_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], files: Files, said: str) -> None:
    assert read_listing("it", of(write(tmp_path / "set", files)))[0] == "images"
    line = capsys.readouterr().out
    assert "is read without labels, since no form with labels of both parts was found there; what may be labels and isn't read: " in line
    assert said in line


def test_photographs_need_no_excuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read_listing("it", of(write(tmp_path / "set", {"2019/spring/a.jpg": jpeg(0), "b.jpg": jpeg(1)})))
    assert "isn't read" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("files", "said"), [({"a.tar.gz": b"x"}, "a.tar.gz is compressed as a whole, unpack it there"), ({"a.txt": b""}, "holds a.txt")]
)
def test_a_root_without_images_says_what_there_is(tmp_path: Path, files: Files, said: str) -> None:
    with pytest.raises(UserError, match=r"and no image was found; mend datasets\.it\.root") as error:
        read_listing("it", of(write(tmp_path / "set", files)))
    assert said in str(error.value)


def test_those_in_archives_too(tmp_path: Path) -> None:
    zipped(tmp_path / "tiny-imagenet-200.zip", {f"tiny-imagenet-200/{name}": content for name, content in TINY.items()})
    layout, listing = read_listing("it", of(tmp_path))
    assert (layout, listing.below, len(listing.packed)) == ("tiny-imagenet", "tiny-imagenet-200", 3)


def test_labels_one_level_down_are_read_where_nothing_else_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "tiny", TINY)
    layout, listing = read_listing("it", of(tmp_path))
    assert (layout, listing.below) == ("tiny-imagenet", "tiny")
    assert "one level down, in tiny/" in capsys.readouterr().out


def test_images_beside_such_a_folder_are_not_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "tiny", TINY)
    write(tmp_path / "more", {"a.jpg": jpeg(9)})
    layout, listing = read_listing("it", of(tmp_path))
    assert (layout, len(listing.samples["train"])) == ("images", 4)


def test_what_is_passed_over_in_a_form_is_said_in_one_line_a_folder(tmp_path: Path, picture: Picture) -> None:
    root = write(tmp_path / "set", TINY)
    picture(root / "train/n1/@eaDir/x.jpg")
    (root / "train/n1/itself").symlink_to("../../train")
    listing = read_listing("it", of(root))[1]
    assert len(listing.samples["train"]) == 2
    assert len(listing.left_out) == 1
    assert listing.left_out[0].startswith(f"{root}/train: left out: 2 .txt; hidden or a system's own: 1 (n1/@eaDir)")


def test_pipes_and_folders_that_are_called_like_archives_are_none(tmp_path: Path) -> None:
    write(tmp_path / "set", FOLDERS | {"photos.zip/a.jpg": jpeg(9)})
    for name in ("train2017.zip", "train-0.parquet", "val-0.parquet", "train.tar", "val.tar"):
        os.mkfifo(tmp_path / "set" / name)
    assert read_listing("it", of(tmp_path / "set"))[0] == "imagefolder"
    for layout in ("coco", "parquet", "webdataset"):
        with pytest.raises(UserError):
            read_listing("it", of(tmp_path / "set", layouts=layout))


def test_shards_behind_a_link_are_read_once(tmp_path: Path) -> None:
    from dbot.data.layouts.shards import shard_names

    write(tmp_path, {"data/train-0.tar": b"", "data/.cache/train-1.tar": b"", "@eaDir/train-2.tar": b""})
    (tmp_path / "data/again").symlink_to(".")
    (tmp_path / "linked").symlink_to("data")
    assert shard_names(tmp_path, ".tar") == ["data/train-0.tar"]


def test_parts_that_shards_name_are_found_out(tmp_path: Path) -> None:
    shards = {part: webdataset_shard([(0, jpeg(number)), (1, jpeg(number + 1))]) for number, part in enumerate(("train", "test"))}
    root = write(tmp_path / "set", {f"{part}-0.tar": shard for part, shard in shards.items()})
    found = found_out("it", of(root))
    assert (found.layouts, found.validation) == (["webdataset"], Split(images="test"))
