"""The schedules that the dense recipes use, against figures worked out by hand from the published settings."""

from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbot.params.load import load
from dbot.params.recipes import Schedule, Training
from dbot.train.schedule import rate_at


@cache
def published() -> Training:
    return load(scale="paper").params.recipes.finetune["asymmetric-B"]


def recipe_with(schedule: Schedule, **changes: float) -> Training:
    recipe = published()
    optimizer = recipe.optimizer.model_copy(
        update={"schedule": schedule, "learning_rate": 1e-4, "learning_rate_per": None, "minimum_learning_rate": 0.0}
    )
    return recipe.model_copy(update={"optimizer": optimizer, **changes})


def test_steps_fall_by_the_factor_at_every_milestone() -> None:
    recipe = recipe_with(Schedule(kind="steps", milestones=[8, 11], warmup_from=0.001), epochs=12, warmup_epochs=0.0682)
    assert rate_at(0, recipe) == pytest.approx(1e-7)
    assert rate_at(0.0341, recipe) == pytest.approx(1e-4 * (0.001 + 0.999 / 2))
    for epoch, rate in ((0.1, 1e-4), (7.999, 1e-4), (8, 1e-5), (10.9, 1e-5), (11, 1e-6), (11.99, 1e-6)):
        assert rate_at(epoch, recipe) == pytest.approx(rate), epoch


def test_a_polynomial_falls_from_the_first_step_to_the_minimum() -> None:
    recipe = recipe_with(Schedule(kind="polynomial", warmup_from=1e-6), epochs=160, warmup_epochs=1.5)
    assert rate_at(0, recipe) == pytest.approx(1e-10)
    assert rate_at(0.75, recipe) == pytest.approx(1e-4 * (1 - 0.75 / 160) * (1e-6 + (1 - 1e-6) / 2))
    for epoch in (1.5, 80, 159):
        assert rate_at(epoch, recipe) == pytest.approx(1e-4 * (1 - epoch / 160)), epoch


def test_a_cosine_may_begin_above_zero() -> None:
    recipe = recipe_with(Schedule(warmup_from=0.5), epochs=10, warmup_epochs=2)
    assert rate_at(0, recipe) == pytest.approx(5e-5)
    assert rate_at(2, recipe) == pytest.approx(1e-4)
    assert rate_at(6, recipe) == pytest.approx(5e-5)


SCHEDULES = st.one_of(
    st.builds(Schedule, kind=st.just("cosine"), warmup_from=st.floats(0, 0.9)),
    st.builds(Schedule, kind=st.just("polynomial"), power=st.floats(0.3, 3), warmup_from=st.floats(0, 0.9)),
    st.builds(
        Schedule,
        kind=st.just("steps"),
        milestones=st.lists(st.floats(1, 100), max_size=3).map(sorted),
        factor=st.floats(0.01, 0.9),
        warmup_from=st.floats(0, 0.9),
    ),
)


@given(schedule=SCHEDULES, epochs=st.integers(2, 100), warm=st.floats(0, 0.99), at=st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_a_rate_rises_through_the_warm_up_and_never_again(schedule: Schedule, epochs: int, warm: float, at: list[float]) -> None:
    recipe = recipe_with(schedule, epochs=epochs, warmup_epochs=warm * epochs)
    moments = sorted(share * epochs for share in at if share < 1)
    rates = [rate_at(moment, recipe) for moment in moments]
    assert all(0 <= rate <= 1e-4 * (1 + 1e-9) for rate in rates), "within the peak"
    for (earlier, low), (later, high) in pairwise(zip(moments, rates, strict=True)):
        if later < recipe.warmup_epochs and schedule.kind == "cosine":  # the others fall meanwhile
            assert high >= low - 1e-12
        if earlier >= recipe.warmup_epochs:
            assert high <= low + 1e-12
