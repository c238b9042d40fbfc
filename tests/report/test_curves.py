"""Charts stay inside their frame, whatever the metrics."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbot.report.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Curve, chart, curve, in_a_row, ticks

VALUES = st.floats(-1e6, 1e6, allow_nan=False)


def test_missing_and_infinite_values_are_left_out() -> None:
    history = [
        {"epoch": 1, "loss": 2.0},
        {"epoch": 2, "loss": None},
        {"epoch": 3, "loss": float("inf")},
        {"epoch": 4},
        {"epoch": 5, "loss": 1.0},
    ]
    assert curve(history, "loss", "B-B").points == ((1.0, 2.0), (5.0, 1.0))


def test_nothing_to_draw_is_no_chart() -> None:
    assert chart("Loss", []) is None
    assert chart("Loss", [Curve("B-B", False, ())]) is None


def test_a_chart_says_in_words_what_it_shows() -> None:
    drawn = chart("Loss", [Curve("B-B", False, ((1, 0.5), (2, 0.25))), Curve("B-scratch", True, ((1, 1.0),))])
    assert drawn is not None
    assert drawn.description == "Loss: B-B from 0.5 to 0.25 over 2 epochs; B-scratch from 1 to 1 over 1 epochs"
    assert [line.reference for line in drawn.lines] == [True, False], "the row's own curve lies on top"


def test_stages_follow_one_another_on_one_axis() -> None:
    stages = [Curve("stage 1", False, ((1, 3.0), (2, 2.0))), Curve("stage 2", False, ((1, 2.5), (2, 1.5))), Curve("stage 3", False, ())]
    moved, begins = in_a_row([(stages[0], 2), (stages[1], 2), (stages[2], 5)])
    assert [one.points for one in moved] == [((1, 3.0), (2, 2.0)), ((3, 2.5), (4, 1.5)), ()]
    assert begins == [2, 4]
    drawn = chart("Loss", moved, borders=[(2, "stage 2"), (4, "stage 3")])
    assert drawn is not None
    assert len(drawn.lines) == 2
    assert [border.text for border in drawn.borders] == ["stage 2"], "where nothing follows, nothing begins"
    assert drawn.lines[0].end[0] < drawn.borders[0].at + 1e-9 < float(drawn.lines[1].path.split(",")[0])


@given(values=st.lists(VALUES, min_size=1, max_size=8))
def test_curves_and_marks_stay_inside(values: list[float]) -> None:
    drawn = chart("Loss", [Curve("B-B", False, tuple(enumerate(values)))])
    assert drawn is not None
    for point in drawn.lines[0].path.split():
        x, y = map(float, point.split(","))
        assert LEFT <= x <= WIDTH - RIGHT
        assert TOP <= y <= HEIGHT - BOTTOM
    assert all(TOP <= tick.at <= HEIGHT - BOTTOM for tick in drawn.up)
    assert all(LEFT <= tick.at <= WIDTH - RIGHT for tick in drawn.across)


@given(low=VALUES, width=st.floats(0, 1e6))
def test_marks_are_few_and_in_order(low: float, width: float) -> None:
    marks = ticks(low, low + width)
    assert 2 <= len(marks) <= 6
    assert marks == sorted(set(marks))


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0, 1, [0, 0.5, 1]), (12.0, 61.0, [0, 20, 40, 60, 80]), (0.11, 0.48, [0.1, 0.2, 0.3, 0.4, 0.5])]
)
def test_marks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected
