"""What is fitted to costs that were measured at several sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.growth import growth, is_flat

SIZES = [4, 8, 16, 32]


@given(st.floats(0.2, 3), st.floats(1e-6, 1e3))
def test_the_exponent_of_a_power_is_found(exponent: float, factor: float) -> None:
    found = growth(SIZES, [factor * size**exponent for size in SIZES])
    assert found.exponent == pytest.approx(exponent)
    assert found.at_the_end == pytest.approx(exponent)


@given(st.floats(0, 1e3), st.floats(1e-3, 1e3))
def test_a_line_is_taken_apart(fixed: float, each: float) -> None:
    found = growth(SIZES, [fixed + each * size for size in SIZES])
    assert found.fixed == pytest.approx(fixed, abs=1e-6 * (fixed + each))
    assert found.each == pytest.approx(each, rel=1e-6, abs=1e-9 * fixed)
    assert found.verdict in ("linear", "less than linear")


def test_a_fixed_part_hides_no_faster_growth() -> None:
    assert growth(SIZES, [1000 + size**3 for size in SIZES]).verdict == "more than linear"
    assert growth(SIZES, [1000 + size for size in SIZES]).verdict == "less than linear"
    assert growth(SIZES, [2.0 * size for size in SIZES]).verdict == "linear"
    assert growth(SIZES, [size**1.3 for size in SIZES]).verdict == "more than linear"


def test_one_size_says_nothing_of_growth() -> None:
    with pytest.raises(ValueError, match="two sizes"):
        growth([4], [1.0])


def test_flat_is_where_the_end_is_the_beginning() -> None:
    assert is_flat([100.0, 130.0, 101.0])
    assert not is_flat([100.0, 101.0, 103.0])
    assert not is_flat([100.0, 97.0])
