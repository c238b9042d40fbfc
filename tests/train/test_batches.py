"""Which images make up which step: properties over all layouts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbot.base.errors import UserError
from dbot.train.batches import TrainingOrder, lay_out, steps_per_epoch


@given(share=st.integers(1, 40), world=st.integers(1, 8), at_most=st.integers(1, 50))
def test_a_layout_gives_exactly_the_batch(share, world, at_most):
    layout = lay_out(share * world, at_most, world, 0)
    assert layout.micro <= at_most
    assert layout.micro * layout.accumulation * world == share * world


def test_a_batch_that_processes_cannot_share():
    with pytest.raises(UserError, match="can't be shared evenly by 3"):
        lay_out(8, 8, 3, 0)


def batches(images, batch, at_most, world, seed, first, last):
    """Images of every step, put together from all processes in the order of their places."""
    steps = [{} for _ in range(last - first)]
    for rank in range(world):
        layout = lay_out(batch, at_most, world, rank)
        for i, samples in enumerate(TrainingOrder(images, layout, seed, first, last)):
            step, pass_number = divmod(i, layout.accumulation)
            places = range(*layout.places(pass_number).indices(batch))
            steps[step].update(zip(places, samples, strict=True))
    return [[step[place] for place in range(batch)] for step in steps]


@given(
    images=st.integers(8, 60),
    share=st.integers(1, 4),
    at_most=st.integers(1, 8),
    seed=st.integers(0, 3),
    first=st.integers(0, 5),
)
def test_the_order_does_not_depend_on_processes_nor_on_where_it_begins(images, share, at_most, seed, first):
    batch, last = 2 * share, 9
    alone = batches(images, batch, batch, 1, seed, 0, last)
    assert batches(images, batch, at_most, 2, seed, first, last) == alone[first:]


@given(images=st.integers(4, 60), batch=st.integers(1, 4))
def test_an_epoch_shows_no_image_twice(images, batch):
    per_epoch = steps_per_epoch(images, batch)
    seen = [sample for step in batches(images, batch, batch, 1, 0, 0, 2 * per_epoch) for sample in step]
    for epoch in (0, 1):
        numbers = [number for e, number in seen if e == epoch]
        assert len(numbers) == len(set(numbers)) == per_epoch * batch
        assert all(0 <= number < images for number in numbers)
