import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from dbot.data.objects import masks

MASKS = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 1)))


def runs_of(mask: np.ndarray) -> list[int]:
    """Uncompressed run lengths, column by column, the zeros first."""
    runs, value = [0], 0
    for pixel in mask.T.ravel():
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return runs


@given(MASKS)
def test_every_form_gives_the_same_mask(mask: np.ndarray) -> None:
    size = list(mask.shape)
    counts = masks.compressed_mask(mask)
    forms: list[Any] = [
        {"size": size, "counts": runs_of(mask)},
        {"size": size, "counts": counts.decode()},
        {"size": size, "counts": counts},
    ]
    for form in forms:
        assert np.array_equal(masks.pixels([masks.compressed(form, *size)], *size), mask[None])
    assert masks.area(counts, *size) == mask.sum()


def test_polygons_are_joined_as_pycocotools_does() -> None:
    polygons = [[1.5, 1, 6, 1.2, 6, 7, 2, 8], [10, 2, 14.25, 3, 12, 9.5]]
    rles = coco.frPyObjects(polygons, 12, 16)
    found = masks.pixels([masks.compressed(polygons, 12, 16)], 12, 16)[0]
    assert np.array_equal(found, coco.decode(coco.merge(rles)))
    assert found[4, 4] == 1
    assert found[4, 12] == 1
    assert found[4, 8] == 0


def test_no_object_no_mask() -> None:
    assert masks.pixels([], 3, 4).shape == (0, 3, 4)


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        (None, "neither a polygon nor a run length"),
        ([], "neither a polygon nor a run length"),
        ([[]], "has 0 numbers"),
        ([[1, 1, 3, 3]], "has 4 numbers"),
        ([[1, 1, 3, 3, 2, 2, 5]], "has 7 numbers"),
        ([[1, 1, 3, "a", 2, 2]], "not a list of numbers"),
        ([1, 1, 3, 3, 2, 2], "its numbers stand alone"),
        ([[1, 1, 3, float("nan"), 2, 2]], "from nan"),
        ([[1, 1, 3, 1e9, 2, 2]], "far beyond the image"),
        ({"counts": "04"}, "for None"),
        ({"size": [4, 5], "counts": [16]}, "for [4, 5]"),
        ({"size": [4, 4], "counts": "b'04'"}, "Python's text of bytes"),
        ({"size": [4, 4], "counts": 7}, "neither a string"),
        ({"size": [4, 4], "counts": [1.5, 14.5]}, "neither a string"),
        ({"size": [4, 4], "counts": [20, -4]}, "cover 16 pixels"),
        ({"size": [4, 4], "counts": [3, 4]}, "cover 7 pixels"),
        ({"size": [4, 4], "counts": "04"}, "cover 4 pixels"),
        ({"size": [4, 4], "counts": ""}, "cover 0 pixels"),
        ({"size": [4, 4], "counts": "`"}, "end in the middle"),
        ({"size": [4, 4], "counts": "é"}, "a character that none can hold"),
    ],
)
def test_what_cannot_be_decoded_says_why(segmentation: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        masks.compressed(segmentation, 4, 4)


def test_sizes_as_floats_are_sizes() -> None:
    assert masks.compressed({"size": [4.0, 6.0], "counts": [3, 2, 19]}, 4, 6) == masks.compressed(
        {"size": [4, 6], "counts": [3, 2, 19]}, 4, 6
    )


def test_exchanged_sides_are_said() -> None:
    with pytest.raises(ValueError, match="height and width are exchanged"):
        masks.compressed({"size": [6, 4], "counts": [24]}, 4, 6)


@pytest.mark.parametrize(
    ("segmentation", "has"), [(None, 0), ([], 0), ([[]], 0), ({}, 0), ([[1, 1, 9, 9]], 0), ([[0] * 6], 1), ({"size": 1}, 1)]
)
def test_a_box_alone_has_no_outline(segmentation: Any, has: int) -> None:
    assert masks.has_outline(segmentation) == bool(has)


@given(st.binary(max_size=12))
def test_any_string_is_a_mask_or_refused(text: bytes) -> None:
    """Never memory that isn't the mask's, which is what pycocotools makes of run lengths that end early."""
    try:
        counts = masks.compressed({"size": [4, 4], "counts": text}, 4, 4)
    except ValueError:
        return
    assert set(np.unique(masks.pixels([counts], 4, 4))) <= {0, 1}
