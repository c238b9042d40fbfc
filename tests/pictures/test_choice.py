"""Which images are shown."""

from hypothesis import given
from hypothesis import strategies as st

from dbot.pictures.sheet import Ranked, chosen


def places(groups):
    return {name: [one.place for one in members] for name, members in groups.items()}


def test_best_typical_and_worst():
    scores = [0.5, 0.9, 0.1, 0.55, 0.0, 0.8, 1.0, 0.48]
    ranked = [Ranked(place, score, 1) for place, score in enumerate(scores)]
    assert places(chosen(ranked, 2)) == {"best": [6, 1], "typical": [0, 7], "worst": [4, 2]}


def test_of_equals_the_one_with_more_to_see_then_the_first():
    ranked = [Ranked(0, 1.0, 1), Ranked(1, 1.0, 3), Ranked(2, 1.0, 3), Ranked(3, 0.0, 1), Ranked(4, 0.0, 2), Ranked(5, 0.5, 1)]
    assert places(chosen(ranked, 1)) == {"best": [1], "typical": [5], "worst": [4]}


def test_few_images_are_shared_out():
    assert places(chosen([], 2)) == {"best": [], "typical": [], "worst": []}
    assert places(chosen([Ranked(0, 0.2, 1)], 2)) == {"best": [0], "typical": [], "worst": []}
    assert places(chosen([Ranked(0, 0.2, 1), Ranked(1, 0.3, 1)], 2)) == {"best": [1], "typical": [], "worst": [0]}
    assert places(chosen([Ranked(n, n / 10, 1) for n in range(4)], 2)) == {"best": [3, 2], "typical": [1], "worst": [0]}


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3)), max_size=30), st.integers(1, 3), st.randoms())
def test_no_image_twice_whatever_the_order(drawn, each, order):
    ranked = [Ranked(place, score / 4, objects) for place, (score, objects) in enumerate(drawn)]
    groups = chosen(ranked, each)
    shown = [one for members in groups.values() for one in members]
    assert len(shown) == len(set(shown)) == min(len(ranked), 3 * each)
    assert all(best.score >= other.score for best in groups["best"] for other in ranked if other not in shown)
    assert all(worst.score <= other.score for worst in groups["worst"] for other in ranked if other not in shown)
    order.shuffle(ranked)
    assert chosen(ranked, each) == groups
