"""Folders as they lie there: parts and classes as the readers find them, class folders alone, images inside archives."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dbot.base.errors import UserError
from dbot.data.at_hand import CLASS_FOLDERS, ListedPixels, labelled_folder
from dbot.data.images import read_image
from dbot.data.layouts.listing import Sample


def picture(path: Path, colour: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 5), (colour, 0, 0)).save(path)


def test_parts_are_those_of_the_layout(tmp_path: Path) -> None:
    for part, count in (("train", 3), ("test", 2)):
        for name in ("b", "a"):
            for number in range(count):
                picture(tmp_path / part / name / f"{number}.png", number)
    found = labelled_folder(tmp_path)
    assert (found.layout, found.classes) == ("imagefolder", ["a", "b"])
    assert {part: len(images) for part, images in found.parts.items()} == {"train": 6, "validation": 4}
    pixels, label = found.parts["validation"][3]
    assert label == 1
    assert torch.equal(pixels, read_image(tmp_path / "test/b/1.png"))


def test_class_folders_alone_are_for_validation(tmp_path: Path) -> None:
    for name in ("cat", "ant"):
        picture(tmp_path / name / "below" / "x.png")
    picture(tmp_path / "astray.png")
    (tmp_path / "cat" / "notes.txt").write_text("")
    found = labelled_folder(tmp_path)
    assert (found.layout, found.classes, list(found.parts)) == (CLASS_FOLDERS, ["ant", "cat"], ["validation"])
    assert found.left_out == [f"{tmp_path}: left out: 1 images in no class folder, 1 .txt"]
    with pytest.raises(UserError, match=r"a probe needs train images, and the folder .class folders. has none"):
        found.part("train", "a probe")


def test_images_inside_archives_are_read_where_they_lie(tmp_path: Path) -> None:
    picture(tmp_path / "x.png", 40)
    content = (tmp_path / "x.png").read_bytes()
    packed = {"in/archive.png": lambda: content, "converted": np.full((5, 6, 3), 80, np.uint8)}
    samples = [Sample("in/archive.png", 1), Sample("converted", 0), Sample("x.png", 2)]
    found = ListedPixels(tmp_path, samples, packed)
    assert [(int(found[number][0][0, 0, 0]), found[number][1]) for number in range(3)] == [(40, 1), (80, 0), (40, 2)]
    assert {tuple(found[number][0].shape) for number in range(3)} == {(3, 5, 6)}


def test_what_has_no_classes_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no folder; name one that holds images in folders of their classes"):
        labelled_folder(tmp_path / "nowhere")
    picture(tmp_path / "flat" / "x.png")
    with pytest.raises(UserError, match="holds no folders of classes with images"):
        labelled_folder(tmp_path / "flat")
    picture(tmp_path / "set" / "a" / "x.png")
    (tmp_path / "set" / "b").mkdir()
    with pytest.raises(UserError, match="b: holds no image; complete it, or remove it"):
        labelled_folder(tmp_path / "set")
