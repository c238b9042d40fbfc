"""Durations in three grains."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbot.base import durations


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (75, "1:15"), (3600, "1:00:00"), (172799, "47:59:59"), (180000, "2 d 2 h")])
def test_as_on_a_clock(seconds: float, text: str) -> None:
    assert durations.clock(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (59.99, "1 min 0 s"), (200, "3 min 20 s"), (3600, "1 h 0 min"), (18730, "5 h 12 min")],
)
def test_to_the_second(seconds: float, text: str) -> None:
    assert durations.exact(seconds) == text


@given(st.floats(0, 1e8))
def test_to_two_digits(seconds: float) -> None:
    count, unit = durations.rough(seconds).split()
    assert float(count) * {"s": 1, "min": 60, "h": 3600, "d": 86400}[unit] == pytest.approx(seconds, rel=0.3, abs=0.5)
