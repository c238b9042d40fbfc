"""Values of label maps, in the conventions of ADE20K, CamVid and VOC."""

from pathlib import Path

import pytest
import torch

from dbot.base.errors import UserError
from dbot.data.labelmaps.values import IGNORE, classes_of
from dbot.params.datasets import LabelMaps

HERE = Path("maps/a.png")


@pytest.mark.parametrize(
    ("convention", "values", "classes"),
    [
        ({}, [0, 1, 3], [IGNORE, 0, 2]),
        ({"first_class": 0, "void": [3]}, [0, 2, 3], [0, 2, IGNORE]),
        ({"first_class": 0, "void": [3, 255]}, [255, 2, 3], [IGNORE, 2, IGNORE]),
        ({"first_class": 0, "void": []}, [0, 1, 2], [0, 1, 2]),
        ({"first_class": 1000, "void": [0]}, [1002, 0, 1000], [2, IGNORE, 0]),
        ({"values": [7, 33, 8], "void": [0, 255]}, [8, 33, 7, 0, 255], [2, 1, 0, IGNORE, IGNORE]),
    ],
)
def test_values_become_classes(convention, values, classes):
    found = classes_of(torch.tensor([values], dtype=torch.int32), LabelMaps(**convention), 3, HERE)
    assert found.dtype == torch.uint8
    assert found.tolist() == [classes]


@pytest.mark.parametrize(
    ("convention", "value", "said"),
    [
        ({}, 4, "the value 4; values are 1 to 3, and 0 for no class"),
        ({}, -1, "the value -1;"),
        ({"first_class": 0, "void": [11, 255]}, 3, "values are 0 to 2, and 11 or 255 for no class"),
        ({"first_class": 0, "void": []}, 255, "values are 0 to 2; mend"),
        ({"values": [1, 33, 8], "void": []}, 9, "the value 9; values are 1, 33, 8; mend"),
        ({"values": [1, 33, 8], "void": []}, 40, "the value 40; values are 1, 33, 8; mend"),
    ],
)
def test_a_value_that_stands_for_nothing_is_named(convention, value, said):
    with pytest.raises(UserError, match=r"^maps/a\.png: ") as error:
        classes_of(torch.tensor([[1, value]], dtype=torch.int32), LabelMaps(**convention), 3, HERE)
    assert said in str(error.value)
