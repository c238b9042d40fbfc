"""Colours of classes: all different, none grey, and those of yesterday."""

import itertools

from dbot.pictures.palette import COLOURS, colour, on


def test_the_first_are_those_of_every_picture_before():
    assert [colour(number) for number in range(4)] == [(102, 0, 255), (0, 136, 0), (255, 0, 85), (0, 255, 0)]


def test_all_differ_and_none_is_grey():
    colours = [colour(number) for number in range(COLOURS)]
    assert len(set(colours)) == COLOURS
    assert all(max(one) - min(one) > 20 for one in colours)


def test_twenty_classes_are_far_apart():
    first = [colour(number) for number in range(20)]
    assert min(max(abs(a - b) for a, b in zip(one, other, strict=True)) for one, other in itertools.combinations(first, 2)) > 40


def test_text_is_readable_on_every_colour():
    assert on((255, 255, 0)) == (0, 0, 0)
    assert on((0, 0, 120)) == (255, 255, 255)
