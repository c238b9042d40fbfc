"""How a cost grows with a number of things: the exponent, and the straight line through what was measured."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression

MARGIN = 0.15
"""By which an exponent that was measured may miss 1."""


@dataclass(frozen=True)
class Growth:
    """What was fitted to the costs at some sizes."""

    exponent: float
    """Slope of the logarithms: 1 for a cost that is proportional, less where a fixed part stands before it."""
    at_the_end: float
    """The same from the last size but one to the last, where a fixed part weighs least."""
    fixed: float
    """The line's cost at size 0."""
    each: float
    """The line's cost of one more."""

    @property
    def verdict(self) -> str:
        """In words; a fixed part hides no faster growth, since the two largest sizes are looked at by themselves."""
        if max(self.exponent, self.at_the_end) > 1 + MARGIN:
            return "more than linear"
        return "linear" if self.exponent >= 1 - MARGIN else "less than linear"


def growth(sizes: Sequence[float], costs: Sequence[float]) -> Growth:
    """Fit the costs at two sizes or more, from the smallest to the largest; all are above 0."""
    if len(sizes) < 2:
        raise ValueError("a growth needs two sizes or more")
    logarithms = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    line = linear_regression(sizes, costs)
    last = linear_regression(*(values[-2:] for values in logarithms))
    return Growth(linear_regression(*logarithms).slope, last.slope, line.intercept, line.slope)


def is_flat(values: Sequence[float], tolerance: float = 0.02) -> bool:
    """Whether a series of two or more ends where it began, but for a share of it."""
    return abs(values[-1] - values[0]) <= tolerance * abs(values[0])
