import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle

from dbot.base.digest import tree_table
from dbot.base.errors import UserError
from dbot.data.embedded.draw import CATEGORY_IDS, draw
from dbot.data.embedded.material import PHOTOGRAPHS, divide
from dbot.data.embedded.styles import VISIBLE, draw_scene
from dbot.data.layouts.reader import read_listing
from dbot.params.datasets import Dataset, Embedded, Scene, Split

Declare = Callable[..., Dataset]
Small = Callable[..., Embedded]

LAYOUTS = {
    "outlines": ("outlines", Split(images="train"), Split(images="val")),
    "textures": ("textures", Split(images="train"), Split(images="val")),
    "imagefolder": ("digits", Split(images="train"), Split(images="val")),
    "coco": ("scenes", Split(images="train", annotations="a/train.json"), Split(images="val", annotations="a/val.json")),
    "labelmaps": ("scenes", Split(images="i/train", annotations="m/train"), Split(images="i/val", annotations="m/val")),
}


def drawn(folder: Path, layout: str, declare: Declare, small: Small, **settings: object) -> Dataset:
    style, train, validation = LAYOUTS[layout]
    folder.mkdir(parents=True)
    layout = layout if layout in ("coco", "labelmaps") else "imagefolder"
    dataset = declare(folder, layout, embedded=small(style, **settings), train=train, validation=validation)
    draw("it", dataset, folder)
    return dataset


@pytest.mark.parametrize("layout", LAYOUTS)
def test_same_seed_same_bytes(tmp_path: Path, layout: str, declare: Declare, small: Small) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        drawn(tmp_path / name, layout, declare, small, seed=seed)
    a, b, c = (tree_table(tmp_path / name) for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_drawn_is_read_by_the_layouts_reader(tmp_path: Path, layout: str, declare: Declare, small: Small) -> None:
    found, listing = read_listing("it", drawn(tmp_path / "set", layout, declare, small))
    assert found == (layout if layout in ("coco", "labelmaps") else "imagefolder")
    assert [len(listing.samples[part]) for part in ("train", "validation")] == [20, 10]
    digits = [str(digit) for digit in range(10)]
    photographs = [f"photograph {number}" for number in range(10)]
    assert listing.classes == {"labelmaps": ["background", *digits], "textures": photographs}.get(layout, digits)


def test_parts_share_no_photograph() -> None:
    assert not set(PHOTOGRAPHS["train"]) & set(PHOTOGRAPHS["validation"])


def test_parts_share_no_digit_and_leave_none_out() -> None:
    material = divide(np.random.default_rng(0))
    parts = {part: {digit.tobytes() for members in found.digits for digit in members} for part, found in material.items()}
    assert not parts["train"] & parts["validation"]
    assert len(parts["train"]) + len(parts["validation"]) == 1797
    assert len(parts["validation"]) == pytest.approx(599, abs=5)


def test_classes_of_digits_are_even(tmp_path: Path, declare: Declare, small: Small) -> None:
    drawn(tmp_path / "set", "imagefolder", declare, small)
    assert {len(list(folder.iterdir())) for folder in (tmp_path / "set/train").iterdir()} == {2}


def test_clutter_says_how_much_of_the_photograph_is_left() -> None:
    from dbot.data.embedded.material import ground

    photographs = divide(np.random.default_rng(0))["train"].photographs
    spread = [
        np.mean([ground(photographs, 32, clutter, np.random.default_rng(seed)).std(axis=(0, 1)).mean() for seed in range(8)])
        for clutter in (0, 0.25, 1)
    ]
    assert spread[0] < 0.01
    assert all(less < more for less, more in pairwise(spread))


def test_masks_of_a_scene_are_disjoint_and_visible() -> None:
    rng = np.random.default_rng(0)
    material = divide(rng)["train"]
    counts = []
    for _ in range(40):
        scene = draw_scene(material, 64, 0.5, Scene(digits=[2, 6], sizes=[0.16, 0.45]), rng)
        assert sum(mask.astype(int) for mask in scene.masks).max() <= 1 if scene.masks else True
        assert not any((scene.edges & mask).any() for mask in scene.masks)
        assert all(mask.sum() > 10 for mask in scene.masks)
        counts.append(len(scene.labels))
    assert max(counts) >= 4
    assert 0 < VISIBLE < 1


def test_boxes_are_those_of_the_visible_masks(tmp_path: Path, declare: Declare, small: Small) -> None:
    drawn(tmp_path / "set", "coco", declare, small, image_size=64)
    content = json.loads((tmp_path / "set/a/train.json").read_text())
    assert content["annotations"]
    for annotation in content["annotations"]:
        rows, columns = np.nonzero(rle.decode(annotation["segmentation"]))
        box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert annotation["bbox"] == box
        assert annotation["area"] == len(rows)
        assert annotation["category_id"] in CATEGORY_IDS


def test_some_scenes_are_without_objects(tmp_path: Path, declare: Declare, small: Small) -> None:
    drawn(tmp_path / "set", "coco", declare, small, train=60)
    content = json.loads((tmp_path / "set/a/train.json").read_text())
    assert 0 < 60 - len({annotation["image_id"] for annotation in content["annotations"]}) < 20


def test_label_maps_have_background_digits_and_unlabelled_rims(tmp_path: Path, declare: Declare, small: Small) -> None:
    drawn(tmp_path / "set", "labelmaps", declare, small, image_size=64)
    values = np.concatenate([np.unique(np.array(Image.open(path))) for path in (tmp_path / "set/m/train").iterdir()])
    assert set(values.tolist()) == set(range(12))


def test_style_that_a_layout_cannot_hold_is_refused(tmp_path: Path, declare: Declare, small: Small) -> None:
    with pytest.raises(UserError, match=r"datasets\.it\.layouts begins with 'coco': style digits is drawn as imagefolder"):
        draw("it", declare(tmp_path, "coco", embedded=small("digits")), tmp_path)


def test_a_scene_holds_what_the_parameters_say(tmp_path: Path, declare: Declare, small: Small) -> None:
    drawn(tmp_path / "set", "coco", declare, small, image_size=64, scene={"digits": [1, 1], "sizes": [0.5, 0.5]})
    objects = json.loads((tmp_path / "set/a/train.json").read_text())["annotations"]
    images = [one["image_id"] for one in objects]
    assert len(set(images)) == len(images) > 10
    assert all(16 <= one["bbox"][3] <= 40 for one in objects)


@pytest.mark.parametrize(("style", "scene"), [("scenes", None), ("digits", {"digits": [1, 1], "sizes": [0.5, 0.5]})])
def test_scenes_and_only_scenes_say_what_they_hold(small: Small, style: str, scene: object) -> None:
    with pytest.raises(ValueError, match="scene"):
        small(style, scene=scene)
