"""Drawing an embedded data set into a folder, in the layout of the real sets."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from dbot.base.errors import UserError
from dbot.data.embedded.material import Material, divide
from dbot.data.embedded.shifted import DRAWN, shifted
from dbot.data.embedded.styles import Drawing, cut_texture, draw_digit, draw_outline, draw_scene
from dbot.data.layouts.labelmaps import NAMES
from dbot.data.layouts.listing import PARTS, Part
from dbot.params.datasets import Dataset, Embedded, Layout, Split

DIGITS = [str(digit) for digit in range(10)]
LABELS = "real.json"
"""Of a relabelled set: by image, the numbers of the classes that it shows."""
CATEGORY_IDS = [1, 2, 3, 5, 6, 7, 8, 10, 11, 13]
"""With gaps, as COCO's, so that whoever takes an id for a position finds out."""

Writer = Callable[[Path, Part, Split, Embedded, dict[Part, Material], np.random.Generator], int]
"""Writes one part of so many images; returns how many objects it drew."""


def draw(name: str, dataset: Dataset, folder: Path) -> dict[str, int]:
    """Draw a data set; the same parameters give the same bytes.

    Args:
        name: of the data set, for messages.
        dataset: its declaration, with `embedded` set.
        folder: an empty folder.

    Returns:
        Numbers of `train` and `validation` images and of `objects` in both.

    Raises:
        UserError: the style can't be written in the layout.
    """
    embedded, layout = dataset.embedded, dataset.layouts[0]
    assert embedded is not None, "only embedded data sets are drawn"
    if (embedded.style, layout) not in WRITERS:
        fit = " or ".join(known for style, known in WRITERS if style == embedded.style)
        raise UserError(f"datasets.{name}.layouts begins with {layout!r}: style {embedded.style} is drawn as {fit}")
    write = WRITERS[embedded.style, layout]
    rng = np.random.default_rng(embedded.seed)
    material = divide(rng)
    objects = 0
    for part in PARTS:
        objects += write(folder, part, getattr(dataset, part), embedded, material, rng)
    if layout == "labelmaps":
        (folder / NAMES).write_text("Idx\tName\n" + "".join(f"{i}\t{name}\n" for i, name in enumerate(["background", *DIGITS], start=1)))
    return {**{part: embedded.count(part) for part in PARTS}, "objects": objects}


def _image_folder(
    folder: Path, part: Part, split: Split, embedded: Embedded, material: dict[Part, Material], rng: np.random.Generator
) -> int:
    side, count = embedded.image_size, getattr(embedded, part)
    photographs = [photograph for own in material.values() for photograph in own.photographs]
    classes = [f"photograph {number}" for number in range(len(photographs))] if embedded.style == "textures" else DIGITS
    for name in classes:
        (folder / split.images / name).mkdir(parents=True)
    for number in range(count):
        label = number % len(classes)
        if embedded.style == "textures":
            pixels = cut_texture(photographs[label], part, side, rng)
        elif embedded.style == "outlines":
            pixels = draw_outline(material[part], label, side, rng)
        else:
            pixels = draw_digit(material[part], label, side, embedded.clutter, rng)
        _save(pixels, folder / split.images / classes[label] / f"{number:06d}.png")
    return int(count)


def _shifted(folder: Path, part: Part, split: Split, embedded: Embedded, material: dict[Part, Material], rng: np.random.Generator) -> int:
    """A set that is only measured on; beside relabelled images the lists of what they show, `LABELS`."""
    if part == "train":
        return 0
    lists: list[list[int]] = []
    for image in shifted(embedded, material, rng):
        path = folder / split.images / f"{image.path}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        _save(image.pixels, path)
        lists.append(sorted(image.labels))
    if any(lists):
        (folder / LABELS).write_text(json.dumps(lists) + "\n")
    return len(lists)


def _coco(folder: Path, part: Part, split: Split, embedded: Embedded, material: dict[Part, Material], rng: np.random.Generator) -> int:
    from pycocotools import mask as rle

    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, scene in enumerate(_scenes(folder / split.images, embedded, material[part], getattr(embedded, part), rng), start=1):
        side = embedded.image_size
        images.append({"id": number, "file_name": f"{number:06d}.png", "width": side, "height": side})
        for label, mask in zip(scene.labels, scene.masks, strict=True):
            encoded = rle.encode(np.asfortranarray(mask, dtype=np.uint8))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": CATEGORY_IDS[label],
                    "bbox": rle.toBbox(encoded).tolist(),
                    "area": int(rle.area(encoded)),
                    "iscrowd": 0,
                    "segmentation": {"size": encoded["size"], "counts": encoded["counts"].decode("ascii")},
                }
            )
    categories = [{"id": number, "name": digit, "supercategory": "digit"} for number, digit in zip(CATEGORY_IDS, DIGITS, strict=True)]
    path = folder / (split.annotations or "")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}) + "\n")
    return len(annotations)


def _label_maps(
    folder: Path, part: Part, split: Split, embedded: Embedded, material: dict[Part, Material], rng: np.random.Generator
) -> int:
    """Classes are 1 for the background and 2 to 11 for the digits; the rims of digits are 0, unlabelled."""
    maps = folder / (split.annotations or "")
    maps.mkdir(parents=True)
    objects = 0
    for number, scene in enumerate(_scenes(folder / split.images, embedded, material[part], getattr(embedded, part), rng), start=1):
        values = np.ones((embedded.image_size, embedded.image_size), dtype=np.uint8)
        values[scene.edges] = 0
        for label, mask in zip(scene.labels, scene.masks, strict=True):
            values[mask] = label + 2
        _save(values, maps / f"{number:06d}.png")
        objects += len(scene.labels)
    return objects


WRITERS: dict[tuple[str, Layout], Writer] = {
    ("digits", "imagefolder"): _image_folder,
    ("outlines", "imagefolder"): _image_folder,
    ("textures", "imagefolder"): _image_folder,
    ("scenes", "coco"): _coco,
    ("scenes", "labelmaps"): _label_maps,
    **{(style, "corruptions" if style == "corrupted" else "class-folders"): _shifted for style in DRAWN},
}


def _scenes(folder: Path, embedded: Embedded, material: Material, count: int, rng: np.random.Generator) -> Iterator[Drawing]:
    """Scenes, each with its image written."""
    folder.mkdir(parents=True)
    assert embedded.scene is not None, "params require it of style scenes"
    for number in range(1, count + 1):
        scene = draw_scene(material, embedded.image_size, embedded.clutter, embedded.scene, rng)
        _save(scene.pixels, folder / f"{number:06d}.png")
        yield scene


def _save(pixels: npt.NDArray[np.uint8], path: Path) -> None:
    # Level 1: most of the drawing time at level 6 was spent here.
    Image.fromarray(pixels).save(path, "PNG", compress_level=1, optimize=False)
