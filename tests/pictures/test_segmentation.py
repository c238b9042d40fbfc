"""Galleries of label maps: the measure of an image, and what is kept of a set."""

import io

import pytest
import torch
from PIL import Image

from dbot.data.labelmaps.values import IGNORE
from dbot.pictures import segmentation
from dbot.pictures.segmentation import Labelled, legend, ranked, segmentation_gallery


def test_miou_by_hand():
    truth = torch.tensor([[0, 0, 0, 1], [1, 1, IGNORE, IGNORE]])
    predicted = torch.tensor([[0, 0, 1, 1], [1, 2, 2, 2]])
    # class 0: 2 of 3, class 1: 2 of 4, class 2: 0 of 1
    assert ranked(5, truth, predicted) == (5, pytest.approx(100 * (2 / 3 + 2 / 4 + 0) / 3), 2)
    assert ranked(0, truth, truth.where(truth != IGNORE, 0)).score == 100
    assert ranked(0, torch.full((2, 2), IGNORE), torch.zeros(2, 2, dtype=torch.int64)) is None


SIZE = (12, 16)


class Set:
    """Image n has n / 10 of its rows mislabelled; it is counted how often each is asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, place):
        self.asked.append(place)
        truth = torch.zeros(SIZE, dtype=torch.int64)
        truth[:, 8:] = 1
        predicted = truth.clone()
        predicted[:place] = 2
        truth[-1] = IGNORE
        return Labelled(f"{place}.png", torch.full((3, *SIZE), 20 * place, dtype=torch.uint8), truth, predicted)


def ranks_of(images, count):
    return [ranked(place, images(place).truth, images(place).predicted) for place in range(count)]


def test_best_typical_and_worst_are_asked_for_and_no_other(monkeypatch):
    shown = {}

    def caught(title, columns, groups, entries):
        shown.update({name: [(tile.name, tile.note) for tile in tiles] for name, tiles in groups.items()}, entries=entries)
        return Image.new("RGB", (1, 1))

    monkeypatch.setattr(segmentation, "sheet", caught)
    images = Set()
    ranks = ranks_of(images, 9)
    images.asked.clear()
    segmentation_gallery("A set", reversed(ranks), images, ["sky", "tree", "car", "never seen"], each=2)
    assert sorted(images.asked) == [0, 1, 4, 5, 7, 8]
    assert shown["best"] == [("0.png", "mIoU 100.0"), ("1.png", f"mIoU {ranks[1].score:.1f}")]
    assert [name for name, _ in shown["worst"]] == ["8.png", "7.png"]
    assert [name for name, _ in shown["entries"]] == ["sky", "tree", "car", "no class"]


def test_the_same_bytes():
    images = Set()
    ranks = ranks_of(images, 5)
    one, other = (segmentation_gallery("A set", order, images, ["sky", "tree", "car"]) for order in (ranks, ranks[::-1]))
    assert one == other
    assert Image.open(io.BytesIO(one)).width > 700


def test_a_legend_names_what_is_there():
    assert [name for name, _ in legend({2, 0, IGNORE}, ["a", "b", "c"])] == ["a", "c", "no class"]
    assert legend({IGNORE}, [])[0][1] is None
