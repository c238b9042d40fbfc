"""Makers of the forms that people download: files by their paths, as they lie in the download, of images that a test gives or counts."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

from tests.data.forms.conftest import jpeg, png, tar_of

Files = dict[str, bytes]
Labelled = Sequence[tuple[int, bytes]]
"""Images with their classes."""
WNIDS = ("n01443537", "n01629819")

HEIGHT, WIDTH = 12, 16
"""Pixels of images with objects."""
SQUARE = [2.0, 3.0, 8.0, 3.0, 8.0, 9.0, 2.0, 9.0]
"""Corners of a polygon, in pixels."""
BOX = [2.0, 3.0, 6.0, 6.0]
"""The same as left, top, width and height."""
COCO_CATEGORIES = ({"id": 1, "name": "person"}, {"id": 90, "name": "toothbrush"})
ROBOFLOW_CATEGORIES = (
    {"id": 0, "name": "fruits", "supercategory": "none"},
    {"id": 1, "name": "apple", "supercategory": "fruits"},
    {"id": 2, "name": "pear", "supercategory": "fruits"},
)
POLYGON_LINE = "1 0.125 0.25 0.5 0.25 0.5 0.75 0.125 0.75\n"
"""YOLO's line of `SQUARE`."""
BOX_LINE = "0 0.5 0.5 0.25 0.5\n"
VALUES = np.arange(48).reshape(6, 8) % 3
"""A label map."""


def picture(seed: int) -> bytes:
    return jpeg(seed, (WIDTH, HEIGHT))


# ---------------------------------------------------------------------------------------------- images with classes


def class_folders(train: Labelled, validation: Labelled) -> Files:
    """As people unpack ImageNet."""
    found = {f"train/{WNIDS[label]}/{WNIDS[label]}_{number}.JPEG": image for number, (label, image) in enumerate(train)}
    names = enumerate(validation, start=1)
    return found | {f"val/{WNIDS[label]}/ILSVRC2012_val_{number:08d}.JPEG": image for number, (label, image) in names}


def tiny_imagenet(train: Labelled, validation: Labelled) -> Files:
    training = {f"train/{WNIDS[label]}/images/{WNIDS[label]}_{number}.JPEG": image for number, (label, image) in enumerate(train)}
    boxes = {f"train/{wnid}/{wnid}_boxes.txt": b"a.JPEG\t0\t0\t9\t9\n" for wnid in WNIDS}
    images = {f"val/images/val_{number}.JPEG": image for number, (_, image) in enumerate(validation)}
    lines = [f"val_{number}.JPEG\t{WNIDS[label]}\t0\t32\t44\t62\n" for number, (label, _) in enumerate(validation)]
    test = {"test/images/test_0.JPEG": jpeg(5)}
    return {**training, **boxes, **images, **test, "val/val_annotations.txt": "".join(lines).encode(), "wnids.txt": b"n01629819\n"}


def kaggle(train: Labelled, validation: Labelled) -> Files:
    """Its solution is not in the order of the images."""
    here = "ILSVRC/Data/CLS-LOC"
    training = {f"{here}/train/{WNIDS[label]}/{WNIDS[label]}_{number}.JPEG": image for number, (label, image) in enumerate(train)}
    names = [f"ILSVRC2012_val_{number:08d}" for number in range(1, len(validation) + 1)]
    images = {f"{here}/val/{name}.JPEG": image for name, (_, image) in zip(names, validation, strict=True)}
    boxes = [f"{name},{WNIDS[label]} 85 1 499 272 {WNIDS[label]} 1 1 9 9 \n" for name, (label, _) in zip(names, validation, strict=True)]
    test = {f"{here}/test/ILSVRC2012_test_00000001.JPEG": jpeg(5), "LOC_synset_mapping.txt": b"n01443537 goldfish\n"}
    solution = "ImageId,PredictionString\n" + "".join(reversed(boxes))
    return {**training, **images, **test, "LOC_val_solution.csv": solution.encode()}


def imagenet_tars(train: Labelled, validation: Labelled) -> Files:
    """Numbers of classes in the devkit's order, which is not that of their wnids; synsets above them are in its table too."""
    inner = {
        f"{wnid}.tar": tar_of({f"{wnid}_{number}.JPEG": image for number, (own, image) in enumerate(train) if own == label})
        for label, wnid in enumerate(WNIDS)
    }
    names = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, len(validation) + 1)]
    images = {name: image for name, (_, image) in reversed(list(zip(names, validation, strict=True)))}
    table = np.array(
        [(2, WNIDS[0], "goldfish", 0), (1, WNIDS[1], "salamander", 0), (3, "n00000001", "animal", 2)],
        dtype=[("ILSVRC2012_ID", object), ("WNID", object), ("words", object), ("num_children", object)],
    ).reshape(3, 1)
    stream = io.BytesIO()
    savemat(stream, {"synsets": table})
    devkit = {
        "ILSVRC2012_devkit_t12/data/meta.mat": stream.getvalue(),
        "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt": "".join(f"{2 - label}\n" for label, _ in validation).encode(),
    }
    return {
        "ILSVRC2012_img_train.tar": tar_of(inner),
        "ILSVRC2012_img_val.tar": tar_of(images),
        "ILSVRC2012_devkit_t12.tar.gz": tar_of(devkit, "w:gz"),
    }


def parquet_shard(
    rows: Sequence[tuple[Any, bytes | None]], names: tuple[str, ...] | None = ("goldfish, Carassius", "salamander"), label: str = "label"
) -> bytes:
    """A shard of the hub; without names of classes, one that says nothing of its columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "image": pa.array([{"bytes": image, "path": f"x{number}.JPEG"} for number, (_, image) in enumerate(rows)]),
        label: pa.array([own for own, _ in rows]),
    }
    table = pa.table(columns)
    if names:
        features = {"image": {"_type": "Image"}, label: {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    stream = io.BytesIO()
    pq.write_table(table, stream, row_group_size=2)
    return stream.getvalue()


def webdataset_shard(images: Labelled, described: bool = False) -> bytes:
    """Images with a .cls, or with a .json."""
    files: Files = {}
    for number, (label, image) in enumerate(images):
        files[f"{number:05d}.jpg"] = image
        if described:
            files[f"{number:05d}.json"] = json.dumps({"label": label, "height": 6}).encode()
        else:
            files[f"{number:05d}.cls"] = str(label).encode()
    return tar_of(files)


# ---------------------------------------------------------------------------------------------- images with objects


def coco(first: int, categories: Sequence[dict[str, Any]], category: int, prefix: str = "", count: int = 3) -> dict[str, Any]:
    """Images of one object each, but the last has none."""
    images = [{"id": n, "file_name": f"{prefix}{n}.jpg", "height": HEIGHT, "width": WIDTH} for n in range(first, first + count)]
    entry = {"category_id": category, "bbox": BOX, "area": 36, "iscrowd": 0, "segmentation": [SQUARE]}
    return {
        "images": images,
        "annotations": [{"id": number, "image_id": first + number, **entry} for number in range(count - 1)],
        "categories": list(categories),
    }


def coco_archives(train: int = 3, validation: int = 3) -> dict[str, Files]:
    """By the archive of the download, its files; images of the parts are numbered from 1 and from 7 (or 101) on."""
    start = 7 if train < 7 else 101
    annotations = {
        f"annotations/instances_{part}2017.json": json.dumps(coco(first, COCO_CATEGORIES, 90, count=count)).encode()
        for part, first, count in (("train", 1, train), ("val", start, validation))
    }
    return {
        "annotations_trainval2017.zip": annotations,
        "train2017.zip": {f"train2017/{n}.jpg": picture(n) for n in range(1, 1 + train)},
        "val2017.zip": {f"val2017/{n}.jpg": picture(n) for n in range(start, start + validation)},
    }


def roboflow(category: int = 2, train: int = 3, validation: int = 3) -> Files:
    found: Files = {}
    for part, first, count in (("train", 1, train), ("valid", 7 if train < 7 else 101, validation)):
        found[f"{part}/_annotations.coco.json"] = json.dumps(coco(first, ROBOFLOW_CATEGORIES, category, count=count)).encode()
        found |= {f"{part}/{n}.jpg": picture(n) for n in range(first, first + count)}
    return {**found, "README.roboflow.txt": b"fruits\n"}


def yolo(*lines: str, folders: tuple[str, str] = ("train/{}", "valid/{}"), train: int = 2, validation: int = 2) -> Files:
    """Images a, b, …; the last of each part has no text file."""
    described = {"train": f"../{folders[0].format('images')}", "val": f"../{folders[1].format('images')}", "names": ["apple", "pear"]}
    found = {"data.yaml": json.dumps(described).encode()}
    for first, folder, count in ((0, folders[0], train), (100, folders[1], validation)):
        for number in range(count):
            name = chr(ord("a") + number)
            found[f"{folder.format('images')}/{name}.jpg"] = picture(first + number)
            if number < count - 1:
                found[f"{folder.format('labels')}/{name}.txt"] = "".join(lines).encode()
    return found


def voc_xml(objects: Sequence[tuple[str, int]], size: tuple[int, int] = (HEIGHT, WIDTH)) -> bytes:
    """Of each object its class and whether it is difficult. Boxes count pixels from 1, both ends included."""
    box = "<bndbox><xmin>3</xmin><ymin>4</ymin><xmax>8</xmax><ymax>9</ymax></bndbox>"
    parts = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    body = "".join(f"<object><name>{name}</name><difficult>{hard}</difficult>{box}{parts}</object>" for name, hard in objects)
    return f"<annotation><size><width>{size[1]}</width><height>{size[0]}</height></size>{body}</annotation>".encode()


def voc(train: str = "a", validation: str = "b", masks: bool = True, lists: tuple[str, str] = ("Segmentation/train", "Main/val")) -> Files:
    """Pascal VOC of images that letters name, each of a sheep and a cow, which is difficult in those for validation."""
    numbers = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    numbers[3:9, 2:8], numbers[3:5, 10:14], numbers[2, :] = 1, 2, 255
    found: Files = {}
    for name in train + validation:
        found[f"JPEGImages/{name}.jpg"] = picture(ord(name))
        found[f"Annotations/{name}.xml"] = voc_xml([("sheep", 0), ("cow", int(name in validation))])
        if masks:
            found[f"SegmentationObject/{name}.png"] = png(numbers, palette=True)
    for listed, names in zip(lists, (train, validation), strict=True):
        more = "" if listed.startswith("Segmentation") else "  1"
        found[f"ImageSets/{listed}.txt"] = "".join(f"{name}{more}\n" for name in names).encode()
    return found


def object_mask(top: int, left: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    mask[top : top + 3, left : left + 2] = 255
    return mask


def dsb(part: str, count: int = 10, masks: bool = True) -> Files:
    """DSB 2018: of each image a folder, and in it a PNG for each of its 0, 1 or 2 objects."""
    found = {}
    for number in range(count):
        name = f"{part}{number}"
        found[f"{part}/{name}/images/{name}.png"] = picture(number if part.endswith("train") else 100 + number)
        for object_ in range(number % 3 if masks else 0):
            found[f"{part}/{name}/masks/{object_}.png"] = png(object_mask(object_, 5 * object_ + 1))
    return found


# ---------------------------------------------------------------------------------------------- images with label maps

ADE20K_TABLE = "Idx\tRatio\tName\n1\t.1\twall\n2\t.1\tbuilding, edifice\n"


def ade20k(train: int = 2, validation: int = 2) -> Files:
    found = {"objectInfo150.txt": ADE20K_TABLE.encode()}
    for first, part, count in ((0, "training", train), (100, "validation", validation)):
        for image in range(count):
            found[f"images/{part}/ADE_{image}.jpg"] = jpeg(first + image)
            found[f"annotations/{part}/ADE_{image}.png"] = png(VALUES)
    return found


def full_ade20k(count: int = 2) -> Files:
    """Images, and maps that code objects in colours."""
    here = "ADE20K_2021_17_01/images/ADE/training/urban/street"
    files = {f"ADE_train_{n:08d}": picture(n) for n in range(count)}
    return {f"{here}/{name}{end}": image for name, image in files.items() for end in (".jpg", "_seg.png")}


def voc_maps(train: str = "ca", validation: str = "b", others: str = "d") -> Files:
    """Pascal VOC's maps: a palette, 255 for none, lists of the parts; of other images there are none."""
    values = VALUES.copy()
    values[0, 0] = 255
    found = {f"JPEGImages/{name}.jpg": jpeg(ord(name)) for name in train + validation + others}
    found |= {f"SegmentationClass/{name}.png": png(values, palette=True) for name in train + validation}
    lists = {"train": train, "val": validation}
    return found | {f"ImageSets/Segmentation/{part}.txt": "".join(f"{name}\n" for name in of).encode() for part, of in lists.items()}


def context(train: str, validation: str) -> Files:
    """Pascal Context's maps of 59 classes: 0 is none of them."""
    found = {f"JPEGImages/{name}.jpg": jpeg(ord(name)) for name in train + validation}
    values = VALUES.copy()
    values[0, 0] = 59
    found |= {f"SegmentationClassContext/{name}.png": png(values, palette=True) for name in train + validation}
    lists = {"train": train, "val": validation}
    return found | {f"ImageSets/SegmentationContext/{part}.txt": "".join(f"{name}\n" for name in of).encode() for part, of in lists.items()}


def cityscapes(cities: Sequence[tuple[str, str, int]], train_ids: bool = True) -> Files:
    """Of parts, cities and numbers of images: label maps of every suffix. Without `labelTrainIds` it is as it is downloaded."""
    files: Files = {}
    for part, city, count in cities:
        for number in range(count):
            name = f"{city}_{number:06d}"
            files[f"leftImg8bit/{part}/{city}/{name}_leftImg8bit.png"] = jpeg(len(files))
            for suffix in ("labelTrainIds", "labelIds", "color", "instanceIds")[0 if train_ids else 1 :]:
                values = VALUES if suffix == "labelTrainIds" else VALUES + 7
                files[f"gtFine/{part}/{city}/{name}_gtFine_{suffix}.png"] = png(values)
    return files


def camvid(train: int = 2, validation: int = 2, values: np.ndarray = VALUES) -> Files:
    """Folders of parts, and lists of them in which the paths are of another machine; the last image is the first there."""
    files: Files = {}
    for first, part, count in ((0, "train", train), (100, "val", validation)):
        files |= {f"{part}/{number}.png": jpeg(first + number) for number in range(count)}
        files |= {f"{part}annot/{number}.png": png(values) for number in range(count)}
        lines = [f"/SegNet/CamVid/{part}/{number}.png /SegNet/CamVid/{part}annot/{number}.png\n" for number in reversed(range(count))]
        files[f"{part}.txt"] = "".join(lines).encode()
    return files


def below(folder: str, files: Files) -> Files:
    """The same files in a folder."""
    return {str(Path(folder, name)): content for name, content in files.items()}
