"""Boxes and masks are where they must be, and nowhere else."""

import numpy as np
import pytest
import torch

from dbot.pictures.objects import FILL, LINE, Seen, draw_objects
from dbot.pictures.palette import colour

GREY = 90
CLASSES = ["cat", "dog"]


def canvas(height=100, width=100):
    return torch.full((3, height, width), GREY, dtype=torch.uint8)


def drawn(image, *seen, side=100):
    return np.array(draw_objects(image, seen, CLASSES, side)).astype(int)


def test_the_line_of_a_box_is_inside_the_box():
    pixels = drawn(canvas(), Seen(2, (20, 40, 60, 90)))
    fill = list(colour(1))
    for row, column in ((40, 59), (89, 20), (89, 59), (60, 20), (60, 20 + LINE - 1), (60, 59), (89 - LINE + 1, 30)):
        assert pixels[row, column].tolist() == fill
    untouched = pixels.copy()
    untouched[20:90, 20:60] = GREY  # the tag is above the box
    assert (untouched == GREY).all()
    assert (pixels[40 + LINE : 90 - LINE, 20 + LINE : 60 - LINE] == GREY).all()


def test_a_mask_is_tinted_inside_with_a_rim_and_nothing_outside():
    mask = np.zeros((100, 100), dtype=bool)
    mask[50:80, 30:70] = True
    mask[60:65, 45:55] = False
    pixels = drawn(canvas(), Seen(1, (30, 50, 70, 80), mask))
    assert pixels[73, 50].tolist() == [round((1 - FILL) * GREY + FILL * value) for value in colour(0)]
    assert pixels[59, 50].tolist() == list(colour(0)), "the rim of the hole"
    assert (pixels[60:65, 45:55] == GREY).all()
    assert (pixels[80:] == GREY).all()


@pytest.mark.parametrize(("size", "factor"), [((20, 30), 5), ((300, 160), 0.5)])
def test_boxes_and_masks_follow_the_size(size, factor):
    height, width = size
    mask = np.zeros(size, dtype=bool)
    mask[height // 2 :, : width // 2] = True
    pixels = drawn(canvas(*size), Seen(1, (0, height / 2, width / 2, height), mask), side=150)
    assert pixels.shape[:2] == (height * factor, width * factor)
    middle, across = int(height * factor / 2), int(width * factor / 2)
    assert pixels[middle + 20, 0].tolist() == pixels[middle + 20, across - 1].tolist() == list(colour(0))
    assert (pixels[:, across + 60 :] == GREY).all()
    assert (pixels[middle + 20, across:] == GREY).all()


@pytest.mark.parametrize("box", [(-50, -50, 300, 300), (99.7, 99.7, 100, 100), (10, 10, 10.2, 10.2), (0, 0, 0, 0), (150, 150, 160, 160)])
def test_boxes_at_and_beyond_the_border_are_drawn_within(box):
    assert drawn(canvas(), Seen(1, box, score=0.5)).shape == (100, 100, 3)


def test_better_ones_are_on_top():
    boxes = [Seen(1, (20, 40, 60, 90), score=0.9), Seen(2, (20, 40, 60, 90), score=0.4)]
    assert drawn(canvas(), *boxes)[60, 20].tolist() == drawn(canvas(), *boxes[::-1])[60, 20].tolist() == list(colour(0))


def test_a_long_name_ends_at_the_border():
    pixels = np.array(draw_objects(canvas(), [Seen(1, (80, 40, 99, 90), score=0.87)], ["a very long name of a class"], 100))
    tagged = np.nonzero((pixels[28:40] != GREY).any(axis=2))[1]
    assert 0 <= tagged.min() < 10
    assert tagged.max() == 99


def test_a_narrow_image_has_no_tag_but_its_box():
    pixels = drawn(canvas(200, 4), Seen(1, (0, 50, 4, 150), score=0.87), side=200)
    assert pixels[100, 0].tolist() == list(colour(0))
