"""Sheets: nothing reaches over the border, and the same content gives the same bytes."""

import io

import numpy as np
import pytest
from PIL import Image

from dbot.pictures.sheet import MARGIN, MOST, Tile, draw_legend, jpeg, sheet

LONG = "a name that is much longer than any panel is wide " * 4


def tile(width, height, name="a.png", panels=2):
    return Tile([Image.new("RGB", (width, height), (200, 0, 0))] * panels, name, "F1 0.50")


def border_is_white(picture):
    pixels = np.array(picture)
    return all((side == 255).all() for side in (pixels[:MARGIN], pixels[-MARGIN:], pixels[:, :MARGIN], pixels[:, -MARGIN:]))


@pytest.mark.parametrize("panel", [(32, 32), (320, 240), (3, 320), (320, 3)])
def test_long_texts_stay_within(panel):
    groups = {"best": [tile(*panel, LONG), tile(*panel, LONG)], "typical": [], "worst": [tile(*panel, LONG)]}
    legend = [(LONG, (10, 20, 30)), ("short", None)] * 3
    assert border_is_white(sheet(LONG, ("truth", LONG), groups, legend))


def test_panels_are_pasted_whole_and_side_by_side():
    pixels = np.array(sheet("t", ("truth", "prediction"), {"best": [tile(200, 100)]}))
    red = (pixels == (200, 0, 0)).all(axis=2)
    assert red.sum() == 2 * 200 * 100
    assert sorted(set(red.sum(axis=1))) == [0, 400]


def test_nothing_to_show_is_said():
    empty = sheet("t", ("truth", "prediction"), {"best": [], "typical": [], "worst": []})
    assert border_is_white(empty)
    assert (np.array(empty) < 200).any()


def test_a_legend_of_very_many_ends():
    lines = [draw_legend([(f"class {n}", (n % 256, 0, 0)) for n in range(count)], 400).height for count in (MOST, MOST + 1, 500)]
    assert lines[0] <= lines[1] == lines[2]


def test_the_same_bytes():
    one, other = (jpeg(sheet("t", ("truth", "prediction"), {"best": [tile(50, 60)]})) for _ in range(2))
    assert one == other
    assert Image.open(io.BytesIO(one)).format == "JPEG"
