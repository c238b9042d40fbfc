"""Boxes and masks are where they must be, and nowhere else."""

import numpy as np
import pytest
import torch

from dbot.pictures.objects import CROWDED, FILL, LINE, Seen, _readable, _tag, draw_objects
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
    pixels = np.array(draw_objects(canvas(), [Seen(1, (80, 40, 99, 90), score=0.87)], ["a very long name of a class", "dog"], 100))
    tagged = np.nonzero((pixels[28:40] != GREY).any(axis=2))[1]
    assert 0 <= tagged.min() < 10
    assert tagged.max() == 99


def test_a_narrow_image_has_no_tag_but_its_box():
    pixels = drawn(canvas(200, 4), Seen(1, (0, 50, 4, 150), score=0.87), side=200)
    assert pixels[100, 0].tolist() == list(colour(0))


def crowd(count, seed=0, labels=2, size=(240, 320)):
    """Found objects that lie over and beside each other, as on a shelf or in a swarm."""
    draws = np.random.default_rng(seed)
    seen = []
    for _ in range(count):
        x, y = draws.uniform(0, 0.95 * size[1]), draws.uniform(0, 0.95 * size[0])
        wide, high = draws.uniform(8, 40, 2)
        seen.append(
            Seen(int(draws.integers(1, labels + 1)), (x, y, min(x + wide, size[1]), min(y + high, size[0])), score=draws.uniform(0.3, 1))
        )
    return seen


def tags_of(seen, classes, size=(240, 320)):
    """The labels that are drawn, best first."""
    order = [_tag(one, tuple(map(int, one.box)), classes, size) for one in seen]
    return _readable(order, size)


def test_where_objects_crowd_labels_leave_each_other_and_the_image_to_be_seen():
    tags = tags_of(crowd(200), CLASSES)
    assert 10 < len(tags) < 60
    covered = np.zeros((240, 320), dtype=int)
    for left, top, right, bottom in (tag.place for tag in tags):
        covered[top : bottom + 1, left : right + 1] += 1
    assert covered.max() == 1
    assert covered.mean() <= CROWDED
    assert tags[0].rank[0] == max(one.score for one in crowd(200))


def test_of_equal_scores_the_largest_has_its_label():
    seen = [Seen(1, (20, 40, 30, 50)), Seen(2, (21, 40, 90, 90)), Seen(1, (22, 40, 40, 60))]
    assert [tag.text for tag in tags_of(seen, CLASSES)] == ["dog"]
    assert [tag.text for tag in tags_of(seen[::-1], CLASSES)] == ["dog"]


def test_objects_apart_have_all_their_labels():
    seen = [Seen(1, (20, 40, 60, 90), score=0.5), Seen(2, (120, 40, 160, 90), score=0.5), Seen(2, (20, 140, 60, 190), score=0.9)]
    assert sorted(tag.text for tag in tags_of(seen, CLASSES)) == ["cat 0.50", "dog 0.50", "dog 0.90"]


def test_of_one_class_there_are_no_labels():
    pixels = np.array(draw_objects(canvas(), [Seen(1, (20, 40, 60, 90), score=0.9)], ["cat"], 100)).astype(int)
    assert (pixels[:40] == GREY).all()
    assert pixels[40, 30].tolist() == list(colour(0))
