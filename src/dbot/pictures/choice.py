"""Which images of a set are shown: the best, the worst, and typical ones."""

from collections.abc import Callable, Iterable
from statistics import median_low
from typing import NamedTuple


class Ranked(NamedTuple):
    """What an image is worth."""

    place: int
    """Its number in the set."""
    score: float
    """Higher is better."""
    objects: int
    """How much there is to see: of images with equal scores those with more are shown."""


def chosen(ranked: Iterable[Ranked], each: int) -> dict[str, list[Ranked]]:
    """Up to ``each`` images a group, none in two groups; the order of ``ranked`` decides nothing.

    Returns:
        `best`, the best first, `typical`, the nearest to the median first, and `worst`, the worst first.
    """
    left = sorted(ranked)
    middle = median_low(one.score for one in left) if left else 0.0
    # Of few images each group gets its share.
    best, worst, typical = (min(each, (len(left) + more) // 3) for more in (2, 1, 0))

    def taken(count: int, distance: Callable[[Ranked], float]) -> list[Ranked]:
        first = sorted(left, key=lambda one: (distance(one), -one.objects))[:count]
        left[:] = [one for one in left if one not in first]
        return first

    groups = {
        "best": taken(best, lambda one: -one.score),
        "worst": taken(worst, lambda one: one.score),
        "typical": taken(typical, lambda one: abs(one.score - middle)),
    }
    return {name: groups[name] for name in ("best", "typical", "worst")}
