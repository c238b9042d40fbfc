"""Forecasts as a person and a program read them."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbot.forecast import show
from dbot.forecast.forecast import forecast
from dbot.params.load import load
from dbot.plan import Plan
from tests.conftest import PROJECT
from tests.fakes import FakeProject


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan(load(PROJECT / "params.yaml", "paper"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no job has run."""
    monkeypatch.chdir(tmp_path)


def test_a_terminal_of_100_columns_shows_it(plan: Plan) -> None:
    said = show.text(forecast(plan))
    assert max(map(len, said.splitlines())) <= 100
    for name in (*plan.params.build.rows, "distill", "in all"):
        assert re.search(rf"^{name} +\d", said, re.MULTILINE), name
    assert "assumed" in said
    assert "GPU-hours" in said


def test_a_summary_has_three_lines_and_says_what_it_rests_on(plan: Plan) -> None:
    lines = show.summary(forecast(plan)).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"Forecast of {len(plan.jobs())} jobs of scale paper: ")
    assert "(assumed)" in lines[0]
    assert "distill" in lines[2]


def test_a_summary_without_any_rate_says_what_to_do() -> None:
    demo = Plan(load(PROJECT / "params.yaml", "demo"))
    assert "`snakemake calibrate`" in show.summary(forecast(demo))


def test_a_summary_is_of_what_is_left(tmp_path: Path) -> None:
    project = FakeProject(tmp_path)
    job = project.plan.finetune("B-B", 0)
    project.run_chain(job)
    jobs, ran = project.plan.jobs(), len(project.plan.jobs([job]))
    assert show.summary(forecast(project.plan)).startswith(f"Forecast of {len(jobs) - ran} jobs of scale demo ({ran} more have run): ")
    done = show.summary(forecast(project.plan, [job]))
    assert (
        done == f"Forecast of scale demo: all {ran} jobs have run; `dbot forecast --scale demo --again` says what they would take again\n"
    )
    again = forecast(project.plan, [job], again=True)
    assert show.summary(again).startswith(f"Forecast of {ran} jobs of scale demo: ")
    assert f"{ran} jobs, of which {ran} have run and are to run again, on" in show.text(again)


def test_programs_get_every_job_rule_and_row(plan: Plan) -> None:
    found = forecast(plan)
    lines = list(csv.DictReader(io.StringIO(show.csv_text(found))))
    assert [line["of"] for line in lines].count("job") == len(found.jobs)
    (whole,) = [line for line in lines if line["of"] == "all"]
    assert float(whole["hours"]) == pytest.approx(found.total.hours, rel=1e-5)
    assert whole["actual_hours"] == whole["money"] == ""
    content = json.loads(show.json_text(found))
    assert [figure["name"] for figure in content["figures"]] == [line["name"] for line in lines]
    assert content["hardware"]["name"] == plan.params.hardware.use


@given(st.floats(0, 1e26))
def test_a_number_with_a_prefix_keeps_three_digits(value: float) -> None:
    number, _, prefix = show.si(value).partition(" ")
    assert float(number) * 1000 ** show.PREFIXES.index(prefix) == pytest.approx(value, rel=6e-3)
    assert float(number) < 1000 or prefix == "Y"
