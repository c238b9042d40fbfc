"""The forms that people download, at twenty images, each declared by three lines: its name, its root, and what it is.

What is printed as the complete declaration, and pasted, gives the same set.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import yaml

from dbot.base.errors import UserError
from dbot.data.declaration import completed
from dbot.data.labelmaps.pairs import Pairs
from dbot.data.layouts.reader import found_out, read_listing
from dbot.data.manifest import Manifest
from dbot.data.objects.annotations import ground_truth, read_objects
from dbot.params.datasets import Dataset
from tests.data.forms import makers
from tests.data.forms.conftest import Prepared, jpeg, same_images, tar_of, write, zipped
from tests.data.forms.makers import BOX_LINE, POLYGON_LINE, SQUARE, VALUES, WNIDS, Files, below

TRAIN = [(label, jpeg(20 * label + number)) for label in (0, 1) for number in range(7)]
VALIDATION = [(number % 2, jpeg(100 + number)) for number in range(6)]
COUNTS = {"train": 14, "validation": 6}
LETTERS = ("abcdefghijklmn", "opqrst")
"""Names of the images of the parts."""

SOLUTION = "stage1_solution.csv"


class Form(NamedTuple):
    """What people download."""

    third: str
    """The third line: what it is."""
    files: Files
    classes: list[str]
    archives: Mapping[str, Files] = {}
    """Zips, by their names, with what they hold."""


def declared(root: Path, third: str) -> Dataset:
    """A set as its three lines declare it."""
    lines = f"it:\n  root: {root}\n  {third}\n"
    assert lines.count("\n") == 3
    return Dataset.model_validate(yaml.safe_load(lines)["it"])


def as_found(form: Form, root: Path, prepared: Prepared) -> Manifest:
    """The set by its three lines: twenty images, and the same set by the declaration that is printed, and where nobody says what it is."""
    write(root, form.files)
    for name, files in form.archives.items():
        zipped(root / name, files)
    dataset = declared(root, form.third)
    manifest = prepared(dataset)
    assert manifest.counts == COUNTS
    assert manifest.classes == form.classes
    text = completed("it", dataset, found_out("it", dataset), manifest)
    pasted = Dataset.model_validate(yaml.safe_load(text)["datasets"]["it"])
    assert prepared(pasted).digest == manifest.digest
    assert completed("it", pasted, found_out("it", pasted), manifest) == "", "nothing is left to find out"
    if form.third.startswith("layouts:"):
        assert found_out("it", Dataset(root=str(root))).layouts == pasted.layouts
    return manifest


NUMBERED, NAMED = ["0", "1"], ["goldfish, Carassius", "salamander"]
PARQUET = {part: makers.parquet_shard(rows) for part, rows in (("train", TRAIN), ("validation", VALIDATION))}
WITH_CLASSES = {
    "class folders": Form("layouts: imagefolder", makers.class_folders(TRAIN, VALIDATION), [*WNIDS]),
    "Tiny ImageNet": Form("layouts: tiny-imagenet", makers.tiny_imagenet(TRAIN, VALIDATION), [*WNIDS]),
    "its zip": Form(
        "layouts: tiny-imagenet",
        {},
        [*WNIDS],
        {"tiny-imagenet-200.zip": below("tiny-imagenet-200", makers.tiny_imagenet(TRAIN, VALIDATION))},
    ),
    "Kaggle's ImageNet": Form("layouts: imagenet-kaggle", makers.kaggle(TRAIN, VALIDATION), [*WNIDS]),
    "Kaggle's zip": Form("layouts: imagenet-kaggle", {}, [*WNIDS], {"challenge.zip": makers.kaggle(TRAIN, VALIDATION)}),
    "the original tars": Form("layouts: imagenet-tars", makers.imagenet_tars(TRAIN, VALIDATION), [*WNIDS]),
    "the hub's parquet": Form("layouts: parquet", {f"data/{p}-00000-of-00001.parquet": shard for p, shard in PARQUET.items()}, NAMED),
    **{
        f"WebDataset, {kind}": Form(
            "layouts: webdataset",
            {
                "imagenet1k-train-0000.tar": makers.webdataset_shard(TRAIN[:9], described),
                "imagenet1k-train-0001.tar": makers.webdataset_shard(TRAIN[9:], described),
                "imagenet1k-validation-0000.tar": makers.webdataset_shard(VALIDATION, described),
            },
            NUMBERED,
        )
        for kind, described in (("cls", False), ("json", True))
    },
}


@pytest.mark.parametrize("name", WITH_CLASSES)
def test_images_with_classes(name: str, tmp_path: Path, prepared: Prepared) -> None:
    manifest = as_found(WITH_CLASSES[name], tmp_path / "set", prepared)
    assert same_images(manifest, {"train": TRAIN, "validation": VALIDATION})


FRUITS, ROBOFLOW = ["apple", "pear"], makers.roboflow(train=14, validation=6)
YOLO = makers.yolo(POLYGON_LINE, train=14, validation=6)
COCO = makers.coco_archives(14, 6)
WITH_OBJECTS = {
    "COCO": Form("layouts: coco", {name: file for files in COCO.values() for name, file in files.items()}, ["person", "toothbrush"]),
    "COCO's zips": Form("layouts: coco", {}, ["person", "toothbrush"], COCO),
    "Roboflow's export": Form("layouts: coco-roboflow", ROBOFLOW, FRUITS),
    "Roboflow's zip": Form("layouts: coco-roboflow", {}, FRUITS, {"fruits.v1i.coco.zip": ROBOFLOW}),
    "YOLO's polygons": Form("layouts: yolo", YOLO, FRUITS),
}


@pytest.mark.parametrize("name", WITH_OBJECTS)
def test_images_with_objects(name: str, tmp_path: Path, prepared: Prepared) -> None:
    """One on each image, but on the last of each part."""
    manifest = as_found(WITH_OBJECTS[name], tmp_path / "set", prepared)
    for part in ("train", "validation"):
        objects = read_objects(manifest, part)
        assert np.diff(objects.starts).tolist() == [1] * (COUNTS[part] - 1) + [0]
        target = objects.target(0)
        assert target["boxes"].tolist() == [[SQUARE[0], SQUARE[1], SQUARE[4], SQUARE[5]]]
        assert target["labels"].tolist() == [2]
        assert target["masks"].numpy().sum() == 36


def test_yolos_boxes(tmp_path: Path, prepared: Prepared) -> None:
    manifest = as_found(Form("masks: none", makers.yolo(BOX_LINE, train=14, validation=6), FRUITS), tmp_path / "set", prepared)
    assert manifest.layout == "yolo"
    assert read_objects(manifest, "train").boxes.tolist() == [[6, 3, 10, 9]] * 13


def test_vocs_objects(tmp_path: Path, prepared: Prepared) -> None:
    files = makers.voc(*LETTERS, lists=("Segmentation/train", "Segmentation/val"))
    manifest = as_found(Form("layouts: voc", files, ["cow", "sheep"]), tmp_path / "set", prepared)
    target = read_objects(manifest, "train").target(13)
    assert target["labels"].tolist() == [2, 1]
    assert target["masks"].numpy().sum(axis=(1, 2)).tolist() == [36, 8]
    assert sum(entry["iscrowd"] for entry in ground_truth(manifest)["annotations"]) == 6


def test_vocs_boxes(tmp_path: Path, prepared: Prepared) -> None:
    files = makers.voc(*LETTERS, masks=False, lists=("Main/train", "Main/val"))
    manifest = as_found(Form("masks: none", files, ["cow", "sheep"]), tmp_path / "set", prepared)
    assert manifest.layout == "voc"
    assert read_objects(manifest, "train").target(0)["boxes"].tolist() == [[2, 3, 8, 9], [2, 3, 8, 9]]


@pytest.mark.parametrize("in_zips", [False, True])
def test_dsb_2018(tmp_path: Path, prepared: Prepared, in_zips: bool) -> None:
    train, test = makers.dsb("stage1_train", 14), makers.dsb("stage1_test", 6, masks=False)
    lines = ["ImageId,EncodedPixels,Height,Width,Usage"]
    for number in range(6):
        for object_ in range(number % 3):
            first = (5 * object_ + 1) * makers.HEIGHT + object_ + 1
            lines.append(f"stage1_test{number},{first} 3 {first + makers.HEIGHT} 3,{makers.HEIGHT},{makers.WIDTH},Public")
    solution = {SOLUTION: "\n".join(lines).encode()}
    archives = {
        f"{part}.zip": {name.removeprefix(f"{part}/"): file for name, file in files.items()}
        for part, files in (("stage1_train", train), ("stage1_test", test))
    }
    form = (
        Form("layouts: instance-masks", solution, ["object"], archives)
        if in_zips
        else Form("layouts: instance-masks", train | test | solution, ["object"])
    )
    manifest = as_found(form, tmp_path / "set", prepared)
    for part in ("train", "validation"):
        objects = read_objects(manifest, part)
        in_order = sorted(range(COUNTS[part]), key=str)
        assert np.diff(objects.starts).tolist() == [number % 3 for number in in_order]
        shown = objects.target(in_order.index(2))["masks"].numpy()
        assert np.array_equal(shown, np.stack([makers.object_mask(0, 1), makers.object_mask(1, 6)]) > 0)


CITIES = [("train", "aachen", 8), ("train", "ulm", 6), ("val", "munster", 6)]
NINETEEN = ["7", "8", "11", "12", "13", "17", "19", "20", "21", "22", "23", "24", "25", "26", "27", "28", "31", "32", "33"]
ADE20K = makers.ade20k(14, 6)
ONE_TO_59 = [str(value) for value in range(1, 60)]
LACKING = np.where(VALUES == 0, 255, VALUES - 1)
"""The classes of `VALUES` where 0 stands for none and classes begin at 1."""
WITH_MAPS = {
    "ADE20K": (Form("layouts: labelmaps", ADE20K, ["wall", "building, edifice"]), LACKING),
    "ADE20K's zip": (
        Form("layouts: labelmaps", {}, ["wall", "building, edifice"], {"ADEChallengeData2016.zip": below("ADEChallengeData2016", ADE20K)}),
        LACKING,
    ),
    "ADE20K, one level too deep": (
        Form("layouts: labelmaps", below("ADEChallengeData2016", ADE20K), ["wall", "building, edifice"]),
        LACKING,
    ),
    "VOC": (Form("layouts: labelmaps", makers.voc_maps(*LETTERS), ["0", "1", "2"]), np.where(np.arange(48).reshape(6, 8), VALUES, 255)),
    "Cityscapes, as it is downloaded": (
        Form("layouts: labelmaps", makers.cityscapes(CITIES, train_ids=False), NINETEEN),
        np.where(VALUES == 2, 255, VALUES),
    ),
    "Cityscapes, converted": (Form("layouts: labelmaps", makers.cityscapes(CITIES), ["0", "1", "2"]), VALUES),
    "CamVid": (
        Form("layouts: labelmaps", makers.camvid(14, 6, VALUES + 9), [str(value) for value in range(11)]),
        np.where(VALUES == 2, 255, VALUES + 9),
    ),
    "Pascal Context": (
        Form("label_maps: {first_class: 1, void: [0]}", makers.context(*LETTERS), ONE_TO_59),
        np.where(np.arange(48).reshape(6, 8), LACKING, 58),
    ),
}


@pytest.mark.parametrize("name", WITH_MAPS)
def test_images_with_label_maps(name: str, tmp_path: Path, prepared: Prepared) -> None:
    form, classes = WITH_MAPS[name]
    manifest = as_found(form, tmp_path / "set", prepared)
    for part, place in (("train", 13), ("validation", 0)):
        assert np.array_equal(Pairs(manifest, part)[place][1].numpy(), classes)


def test_vocs_tar(tmp_path: Path, prepared: Prepared) -> None:
    files = below("VOCdevkit/VOC2012", makers.voc_maps(*LETTERS))
    form = Form("layouts: labelmaps", {"VOCtrainval_11-May-2012.tar": tar_of(files)}, ["0", "1", "2"])
    assert as_found(form, tmp_path / "set", prepared).samples("validation").paths[0] == "JPEGImages/o.jpg"


def test_unlabelled_images(tmp_path: Path, prepared: Prepared) -> None:
    root = write(tmp_path / "set", {f"2019/{number}.jpg": image for number, (_, image) in enumerate(TRAIN + VALIDATION)})
    dataset = declared(root, "layouts: images")
    manifest = prepared(dataset)
    assert manifest.counts == {"train": 20, "validation": 0}
    text = completed("it", dataset, found_out("it", dataset), manifest)
    assert prepared(Dataset.model_validate(yaml.safe_load(text)["datasets"]["it"])).digest == manifest.digest


@pytest.mark.parametrize("refuse", [lambda root: declared(root, "layouts: labelmaps"), lambda root: Dataset(root=str(root))])
def test_the_full_ade20k_is_refused(tmp_path: Path, refuse: Callable[[Path], Dataset]) -> None:
    root = write(tmp_path / "set", makers.full_ade20k(10))
    with pytest.raises(UserError, match=r"is the full ADE20K.* so get ADEChallengeData2016\.zip"):
        read_listing("it", refuse(root))
