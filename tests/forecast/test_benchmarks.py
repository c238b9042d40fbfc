"""From benchmark files, as Snakemake 9 writes them, to resources."""

from pathlib import Path

import pytest
import yaml

from dbot import cli
from dbot.base.errors import UserError
from dbot.forecast.benchmarks import read, suggest, yaml_text
from dbot.params.load import load
from dbot.plan import Job, Plan
from tests.params_text import params_text

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    (tmp_path / "params.yaml").write_text(params_text())
    monkeypatch.chdir(tmp_path)
    return Plan(load(scale="demo"))


def leave(job: Job, seconds: float, memory: str = "1024.5", text: str | None = None) -> None:
    path = Path("logs") / job.scale / f"{job.name}.benchmark.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    line = f"{seconds:.2f}\t0:00:01\t{memory}\t3000.00\t452.35\t622.93\t0.48\t0.03\t47.60\t5.88\n"
    path.write_text(HEAD + line if text is None else text)


def test_the_largest_of_a_rule_and_an_architecture_with_a_margin(plan: Plan) -> None:
    leave(plan.distill("B-B", 1), 100)
    leave(plan.distill("B-B", 2), 130, "1600.00")
    leave(plan.distill("L-L", 1), 30, "NA")
    leave(plan.prepare("digits"), 2, "80.00")
    found = suggest(read(plan, plan.jobs()), memory_margin=1.5, time_margin=2)
    text = yaml_text(plan, found, {"memory": 1.5, "time": 2})
    assert yaml.safe_load(text)["scales"]["demo"]["overrides"]["resources"] == {
        "prepare": {"any": {"memory_gb": 0.5, "minutes": 1}},
        "distill": {"B": {"memory_gb": 2.5, "minutes": 5}, "L": {"minutes": 1}},
    }
    assert "# 2 jobs: up to 1.60 GB, 130 s" in text
    assert "# 1 job: up to memory not seen, 30 s" in text


def test_params_yaml_takes_what_is_suggested(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    leave(plan.distill("B-B", 1), 1000, "9000.00")
    assert cli.main(["resources", "suggest"]) == 0
    suggested = yaml.safe_load(capsys.readouterr().out)["scales"]["demo"]["overrides"]["resources"]
    file = Path("params.yaml")
    params = yaml.safe_load(file.read_text())
    params["scales"]["demo"]["overrides"]["resources"]["distill"]["B"] |= suggested["distill"]["B"]
    file.write_text(yaml.safe_dump(params, sort_keys=False))
    asked = Plan(load(scale="demo")).resources(plan.distill("B-B", 1))
    assert (asked.memory_gb, asked.minutes) == (12.0, 25)


def test_a_file_of_another_kind_is_named(plan: Plan) -> None:
    leave(plan.distill("B-B", 1), 1, text="a\tb\n1\t2\n")
    with pytest.raises(UserError, match=r"logs/demo/distill/B-B/stage1.benchmark.tsv: is not a benchmark file"):
        suggest(read(plan, plan.jobs()), 1.3, 1.5)


@pytest.mark.parametrize(
    ("flags", "said"),
    [([], "logs/demo: no job has left a benchmark file"), (["--time-margin", "0.5"], "--time-margin is 0.5: must be at least 1")],
)
def test_mistakes_are_one_line(plan: Plan, capsys: pytest.CaptureFixture[str], flags: list[str], said: str) -> None:
    assert cli.main(["resources", "suggest", *flags]) == 2
    assert capsys.readouterr().err.startswith(f"dbot resources: {said}")
