"""What a segmenter finds on a folder: label maps that data sets may consist of, and pictures."""

import numpy as np
import pytest
import torch
from PIL import Image

from dbot.base.errors import UserError
from dbot.data.images import read_image, read_label_map
from dbot.data.labelmaps.pairs import ValidationPairs
from dbot.data.labelmaps.values import values_of
from dbot.models.pyramid import build_pyramid
from dbot.models.segmenter import build_segmenter
from dbot.params.datasets import Check, LabelMaps, Split
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


def run(segmenter, folder, demo, output, values=None):
    return predict_maps(*segmenter, CLASSES, values, ImageFolder(folder, 1e9), demo.normalisation, CPU, output)


def test_of_an_older_checkpoint_maps_of_classes_from_one_and_pictures(segmenter, photos, demo, tmp_path):
    assert run(segmenter, photos, demo, tmp_path / "out") == 4
    assert (tmp_path / "out/classes.txt").read_text() == "number\tname\n1\tsky\n2\tbäume\n3\ta class with a very long name\n"
    model, figures = segmenter
    for name, stem in (("a.PNG", "a"), ("below/1.jpg", "below/1"), ("below/b.c.webp", "below/b.c"), ("one pixel.png", "one pixel")):
        image, values = read_image(photos / name), read_label_map(tmp_path / f"out/maps/{stem}.png")
        expected = label_image(model, image, image.shape[1:], figures.inference, demo.normalisation, 1)
        assert torch.equal(values.long(), expected + 1)
        assert Image.open(tmp_path / f"out/maps/{stem}.png").mode == "L"
        assert Image.open(tmp_path / f"out/pictures/{stem}.jpg").width >= 320


@pytest.mark.parametrize(("values", "mode"), [([0, 1, 2], "L"), ([7, 21, 255], "L"), ([7, 256, 1000], "I;16")])
def test_maps_in_the_values_of_the_data(segmenter, photos, demo, tmp_path, values, mode):
    run(segmenter, photos, demo, tmp_path / "one")
    run(segmenter, photos, demo, tmp_path / "own", values)
    named = "".join(f"{value}\t{name}\n" for value, name in zip(values, CLASSES, strict=True))
    assert (tmp_path / "own/classes.txt").read_text() == "value\tname\n" + named
    for stem in ("a", "below/1"):
        expected = np.array(values)[read_label_map(tmp_path / f"one/maps/{stem}.png").numpy() - 1]
        assert (read_label_map(tmp_path / f"own/maps/{stem}.png").numpy() == expected).all()
        assert Image.open(tmp_path / f"own/maps/{stem}.png").mode == mode
        assert (tmp_path / f"own/pictures/{stem}.jpg").read_bytes() == (tmp_path / f"one/pictures/{stem}.jpg").read_bytes()


def test_a_value_that_no_png_holds_is_a_line(segmenter, photos, demo, tmp_path):
    with pytest.raises(UserError, match="have values up to 65536, and a PNG holds 65535 at most"):
        run(segmenter, photos, demo, tmp_path / "out", [0, 1, 65536])


def test_the_same_bytes_again(segmenter, photos, demo, tmp_path):
    for name in ("one", "two"):
        run(segmenter, photos, demo, tmp_path / name)
    for path in (tmp_path / "one").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


@pytest.mark.parametrize("label_maps", [LabelMaps(), LabelMaps(first_class=0, void=[255]), LabelMaps(first_class=300, void=[0])])
def test_a_data_set_may_consist_of_them(segmenter, demo, tmp_path, label_maps):
    root = write_maps(tmp_path / "set", {"train": [(20, 24)], "val": [(20, 24), (30, 16)]})
    run(segmenter, root / "images/val", demo, tmp_path / "out", values_of(label_maps, 3))
    (root / "maps/val").rename(tmp_path / "true")
    (tmp_path / "out/maps").rename(root / "maps/val")
    declaration = declared(root, label_maps=label_maps, train=Split(images="images/val", annotations="maps/val"))
    meant = {"check": Check(decode="all", meant=["unseen-classes", "one-class", "shared-images"])}
    pairs = ValidationPairs(prepared(declaration.model_copy(update=meant), tmp_path / "prepared"))
    maps = [np.array(Image.open(root / f"maps/val/{number}.png")) for number in range(2)]
    assert all((pairs[number][1].numpy() == maps[number] - label_maps.first_class).all() for number in range(2))
