"""What a segmenter finds on a folder: label maps that data sets may consist of, and pictures."""

import numpy as np
import pytest
import torch
from PIL import Image

from dbot.data.images import read_image, read_label_map
from dbot.data.labelmaps.pairs import ValidationPairs
from dbot.models.pyramid import build_pyramid
from dbot.models.segmenter import build_segmenter
from dbot.tasks.predict.folder import ImageFolder
from dbot.tasks.predict.maps import predict_maps
from dbot.tasks.windows import label_image
from tests.tasks.small_segmentation import declared, prepared, recipe, write_maps
from tests.train.small import ARCHITECTURE

CPU = torch.device("cpu")
CLASSES = ["sky", "bäume", "a class with a very long name"]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def segmenter():
    torch.manual_seed(0)
    figures = recipe()
    built = build_segmenter(build_pyramid(ARCHITECTURE, figures, figures.augmentation.crop), figures, len(CLASSES))
    return built.eval(), figures


def run(segmenter, folder, demo, output):
    return predict_maps(*segmenter, CLASSES, ImageFolder(folder, 1e9), demo.normalisation, CPU, output)


def test_maps_of_classes_from_one_and_pictures(segmenter, photos, demo, tmp_path):
    assert run(segmenter, photos, demo, tmp_path / "out") == 4
    assert (tmp_path / "out/classes.txt").read_text() == "number\tname\n1\tsky\n2\tbäume\n3\ta class with a very long name\n"
    model, figures = segmenter
    for name, stem in (("a.PNG", "a"), ("below/1.jpg", "below/1"), ("below/b.c.webp", "below/b.c"), ("one pixel.png", "one pixel")):
        image, values = read_image(photos / name), read_label_map(tmp_path / f"out/maps/{stem}.png")
        expected = label_image(model, image, image.shape[1:], figures.inference, demo.normalisation, 1)
        assert torch.equal(values.long(), expected + 1)
        assert Image.open(tmp_path / f"out/maps/{stem}.png").mode == "L"
        assert Image.open(tmp_path / f"out/pictures/{stem}.jpg").width >= 320


def test_the_same_bytes_again(segmenter, photos, demo, tmp_path):
    for name in ("one", "two"):
        run(segmenter, photos, demo, tmp_path / name)
    for path in (tmp_path / "one").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_a_data_set_may_consist_of_them(segmenter, demo, tmp_path):
    root = write_maps(tmp_path / "set", {"train": [(20, 24)], "val": [(20, 24), (30, 16)]})
    run(segmenter, root / "images/val", demo, tmp_path / "out")
    (root / "maps/val").rename(tmp_path / "true")
    (tmp_path / "out/maps").rename(root / "maps/val")
    pairs = ValidationPairs(prepared(declared(root), tmp_path / "prepared"))
    maps = [np.array(Image.open(root / f"maps/val/{number}.png")) for number in range(2)]
    assert all((pairs[number][1].numpy() == maps[number] - 1).all() for number in range(2))
