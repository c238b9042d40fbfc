"""Label maps in the colours of their classes."""

import numpy as np
import torch

from dbot.data.labelmaps.values import IGNORE
from dbot.pictures.maps import GREYS, draw_map, draw_map_over
from dbot.pictures.palette import colour

MAP = torch.tensor([[0, 1], [149, IGNORE]]).repeat_interleave(8, 0).repeat_interleave(8, 1)


def test_every_class_has_its_colour_and_none_is_striped():
    pixels = np.array(draw_map(MAP, 32))
    assert pixels.shape == (32, 32, 3)
    for place, number in (((0, 0), 0), ((15, 16), 1), ((16, 15), 149)):
        assert tuple(pixels[place].tolist()) == colour(number)
    corner = pixels[16:, 16:]
    assert set(np.unique(corner).tolist()) == set(GREYS)
    assert (corner == corner[:, :, :1]).all(), "grey"
    assert len({tuple(row) for row in corner[:, :, 0].tolist()}) > 1, "stripes are oblique"


def test_the_image_is_seen_through():
    dark, light = (np.array(draw_map_over(torch.full((3, 16, 16), value, dtype=torch.uint8), MAP, 16)).astype(int) for value in (0, 200))
    assert (light - dark > 90).all()
    assert np.abs(dark[0, 0] - np.array(colour(0)) / 2).max() <= 1
