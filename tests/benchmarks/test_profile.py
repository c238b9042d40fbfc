"""How a step's time and its work are shared out to its parts."""

from itertools import count

import pytest
from torch import nn, zeros

from benchmarks import profile
from benchmarks.profile import PARTS, WHOLE, Clock, part_flops, told_apart
from benchmarks.step import step_flops


def test_parts_make_up_the_whole() -> None:
    seconds = {"teacher": 2.0, "decoder": 3.0, "student": 4.0, "forward": 7.0, profile.BACKWARD: 10.0, profile.UPDATE: 1.5, WHOLE: 18.5}
    found = told_apart(seconds)
    assert found.keys() == {*PARTS, WHOLE}
    assert sum(found[name] for name in PARTS) == found[WHOLE]
    assert found[profile.ENCODER] == 1.0
    assert found[profile.REST] == 1.0


def test_a_module_within_another_is_clocked_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count()
    monkeypatch.setattr(profile.time, "perf_counter", lambda: float(next(ticks)))
    inner, clock = nn.Linear(2, 2), Clock()
    outer = nn.Sequential(inner, inner)
    clock.watch(outer, "outer")
    clock.watch(inner, "inner")
    with clock.part("all"):
        outer(zeros(1, 2))
    assert clock.seconds == {"inner": 2.0, "outer": 5.0, "all": 7.0}


def test_the_parts_work_is_that_of_the_step() -> None:
    assert sum(part_flops("tiny").values()) == pytest.approx(step_flops("tiny"), rel=0.02)
