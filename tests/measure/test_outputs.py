"""Which output stands for which class: by name, by WordNet id, by number, or by order, and never by guess."""

import pytest
from timm.data import ImageNetInfo

from dbot.base.errors import UserError
from dbot.measure.outputs import matched

IDS = ImageNetInfo().label_names()
NUMBERS = [str(number) for number in range(1000)]


@pytest.mark.parametrize(
    ("classes", "outputs", "names", "expected"),
    [
        (["ant", "cat"], 3, ["dog", "cat", "ant"], [2, 1]),
        ([IDS[5], IDS[999]], 1000, None, [5, 999]),
        ([IDS[5], IDS[999]], 1000, NUMBERS, [5, 999]),
        ([IDS[5], IDS[999]], 2, [IDS[999], IDS[5]], [1, 0]),
        (["0", "10", "2"], 1000, None, [0, 10, 2]),
        (["0", "10", "2"], 1000, IDS, [0, 10, 2]),
        (["0", "1", "10", "2"], 4, ["0", "1", "10", "2"], [0, 1, 2, 3]),
        (["ant", "cat"], 2, None, [0, 1]),
        (["ant", "cat"], 2, ["0", "1"], [0, 1]),
    ],
)
def test_what_stands_for_what(classes, outputs, names, expected):
    assert matched(classes, outputs, names).outputs == expected


@pytest.mark.parametrize(
    ("classes", "outputs", "names", "said"),
    [
        (["ant", "cat"], 3, None, "nothing says which of the classifier's 3 outputs stands for 'ant'"),
        (["ant", "cow"], 2, ["ant", "cat"], "stands for 'cow', one of the data's 2 classes"),
        ([IDS[0], "n00000001", "n00000002"], 1000, None, r"class n00000001 of the data is none of the 1,000 .* \(nor are 1 others\)"),
        (["0", "1000"], 1000, None, "stands for '0'"),
    ],
)
def test_what_nothing_tells(classes, outputs, names, said):
    with pytest.raises(UserError, match=said):
        matched(classes, outputs, names)
