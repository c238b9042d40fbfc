"""At what size things are looked at."""

import numpy as np
import pytest
import torch

from dbot.pictures.maps import shown_size, sized_image, sized_map


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((32, 32), (320, 320)),
        ((128, 128), (256, 256)),
        ((100, 128), (200, 256)),
        ((320, 200), (320, 200)),
        ((480, 640), (240, 320)),
        ((1, 1), (320, 320)),
        ((5000, 3), (320, 1)),
    ],
)
def test_enlarged_by_whole_factors_or_reduced(size, shown):
    assert shown_size(size, 320) == shown


def test_enlarged_pixels_are_repeated():
    image = torch.arange(3 * 2 * 3, dtype=torch.uint8).view(3, 2, 3)
    pixels = sized_image(image, (8, 12))
    assert (pixels == image.permute(1, 2, 0).numpy().repeat(4, axis=0).repeat(4, axis=1)).all()


def test_reduced_pixels_are_averaged_and_classes_are_not():
    stripes = torch.tensor([0, 200], dtype=torch.uint8).repeat(3, 8, 4)
    assert (sized_image(stripes, (4, 4)) == 100).all()
    values = np.array([[3, 7], [255, 1]]).repeat(3, axis=0).repeat(3, axis=1)
    assert sized_map(values, (2, 2)).tolist() == [[3, 7], [255, 1]]
    assert sized_map(values > 2, (2, 2)).dtype == bool
