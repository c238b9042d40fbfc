"""The files of an analysis."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbot.base.errors import UserError
from dbot.measure.insides import DISTANCES, SHARES, Insides, Similarity, read_insides, write_insides, write_similarity

FOUND = Insides(distances=((1.5, 2.25, 0.1), (4.0, 1 / 3, 16.0)), shares=((0.1, 0.2), (0.25, 1.0)))


@st.composite
def grids(draw):
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    row = st.tuples(*[st.floats(0, 1e3)] * width)
    return draw(st.tuples(*[row] * height))


@given(grids(), grids(), grids())
def test_reading_gives_the_same_bits(tmp_path_factory, distances, shares, cka):
    folder = tmp_path_factory.mktemp("analyses")
    write_insides(folder, Insides(distances, shares))
    assert read_insides(folder) == Insides(distances, shares)
    write_similarity(folder / "cka.csv", Similarity(cka))
    _, *lines = (folder / "cka.csv").read_text().splitlines()
    assert [float(line.split(",")[2]) for line in lines] == [value for row in cka for value in row]


def test_columns(tmp_path):
    write_insides(tmp_path / "new", FOUND)
    write_similarity(tmp_path / "cka.csv", Similarity(((1.0, 0.5),)))
    assert (tmp_path / "new" / DISTANCES).read_text().splitlines()[:3] == ["layer,head,distance", "0,0,1.5", "0,1,2.25"]
    assert (tmp_path / "new" / SHARES).read_text().splitlines()[:2] == ["layer,k,share", "0,1,0.1"]
    assert (tmp_path / "cka.csv").read_text() == "layer_a,layer_b,cka\n0,0,1.0\n0,1,0.5\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("", "distance once for every layer and head"),
        ("layer,head,value\n0,0,1\n", "'distance'"),
        ("layer,head,distance\n0,0,far\n", "'far'"),
        ("layer,head,distance\n0,0,1\n0,1\n", "is not a table"),
        ("layer,head,distance\n0,0,1\n1,1,1\n", "distance once for every layer and head"),
        ("layer,head,distance\n0,0,1\n0,0,2\n", "distance once for every layer and head"),
    ],
)
def test_another_file_is_one_line(tmp_path, text, said):
    write_insides(tmp_path, FOUND)
    file = tmp_path / DISTANCES
    file.unlink()
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError, match=said) as caught:
        read_insides(tmp_path)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)
