from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from dbot.data.layouts.listing import Sample, limited

LABELS = st.lists(st.integers(0, 5), min_size=1, max_size=60)


def samples(labels: list[int]) -> list[Sample]:
    return [Sample(f"{label}/{number}.png", label) for number, label in enumerate(labels)]


@given(LABELS, st.integers(1, 70))
def test_classes_are_even_as_far_as_they_go(labels: list[int], limit: int) -> None:
    taken = limited(samples(labels), limit)
    have, got = Counter(labels), Counter(sample.label for sample in taken)
    assert len(taken) == min(limit, len(labels))
    most = max(got.values())
    assert all(got[label] >= min(have[label], most - 1) for label in have)


@given(LABELS, st.integers(1, 70), st.integers(1, 70), st.randoms())
def test_smaller_limits_take_parts_of_larger_ones_whatever_the_order(labels: list[int], a: int, b: int, random: object) -> None:
    listed = samples(labels)
    shuffled = list(listed)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert set(limited(listed, min(a, b))) <= set(limited(shuffled, max(a, b)))


@given(LABELS, st.integers(1, 70))
def test_order_is_kept(labels: list[int], limit: int) -> None:
    listed = samples(labels)
    taken = limited(listed, limit)
    assert taken == [sample for sample in listed if sample in set(taken)]


def test_no_limit_takes_all() -> None:
    listed = samples([0, 1, 1])
    assert limited(listed, None) == listed
