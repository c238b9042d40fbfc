"""A kind of job that the project doesn't have is added by one module and one rule."""

import json
import re
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.conftest import PROJECT
from tests.e2e.project import Copy

HERE = Path(__file__).parent / "another_kind"
RECEIPT = "results/demo/census/digits/receipt.json"
FORECAST = """
from dbot.forecast.forecast import forecast
from dbot.params.load import load
from dbot.plan import Plan

plan = Plan(load())
(one,) = forecast(plan, [plan.census("digits")]).jobs[-1:]
print(one.job.name, one.work.images, one.done)
"""


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A small project with a kind of its own, which has run."""
    project = Copy.made(tmp_path_factory.mktemp("another") / "project")
    shutil.copytree(PROJECT / "src", project.folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HERE / "census.py", project.folder / "src" / "dbot" / "jobs")
    shutil.copy(HERE / "census.smk", project.folder / "workflow" / "rules")
    snakefile = project.folder / "workflow" / "Snakefile"
    rules = snakefile.read_text()
    snakefile.write_text(rules.replace('include: "rules/fetch.smk"\n', 'include: "rules/fetch.smk"\ninclude: "rules/census.smk"\n'))
    project.env["PYTHONPATH"] = str(project.folder / "src")
    project.run("snakemake", "--cores", "1", RECEIPT)
    return project


def test_it_runs_through_snakemake_to_its_receipt(extended: Copy) -> None:
    receipt = json.loads((extended.folder / RECEIPT).read_text())
    assert receipt["results"] == {"images": 110}
    assert receipt["artifacts"].keys() == {"counts.tsv"}
    assert len((extended.folder / RECEIPT).with_name("counts.tsv").read_text().splitlines()) == 10
    assert "Nothing to be done" in (done := extended.run("snakemake", "--cores", "1", "-n", RECEIPT)).stdout + done.stderr


def test_the_command_line_has_it_with_its_flags(extended: Copy) -> None:
    assert re.search(r"^  census +count the images of a data set by class$", extended.run("dbot", "--help").stdout, re.MULTILINE)
    said = extended.run("dbot", "census", "--help").stdout
    assert "Count the images of a prepared data set by class." in said
    assert "--dataset DATASET" in said
    assert "--data RECEIPT" in said
    assert "there is no 'nothing' under `datasets`" in extended.run("dbot", "census", "--dataset", "nothing", status=2).stderr


def test_dvc_keeps_it(extended: Copy) -> None:
    counts = (extended.folder / RECEIPT).with_name("counts.tsv")
    assert f"path: {counts.name}" in counts.with_name("counts.tsv.dvc").read_text()
    counts.unlink()
    extended.run("dvc", "checkout", str(counts.relative_to(extended.folder)))
    assert counts.is_file()


def test_mlflow_shows_it(extended: Copy) -> None:
    client = MlflowClient(f"sqlite:///{extended.folder}/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'dbot/demo'")
    (run,) = client.search_runs([experiment.experiment_id], "tags.`dbot.rule` = 'census'")
    assert run.data.metrics["result/images"] == 110
    assert run.inputs.dataset_inputs[0].dataset.name == "digits"


def test_the_page_lists_it(extended: Copy) -> None:
    extended.run("dbot", "report")
    assert 'id="job-census-digits"' in (extended.folder / "results/demo/report.html").read_text()


def test_its_lineage_leads_to_the_data(extended: Copy) -> None:
    said = extended.run("dbot", "lineage", RECEIPT).stdout
    assert said.index("census dataset digits") < said.index("prepare dataset digits") < said.index("generate dataset digits")


def test_params_yaml_may_name_it_and_forecasts_have_it(extended: Copy) -> None:
    extended.change({"resources": {"census": {"any": {"minutes": 7}}}, "hardware": {"kinds": {"h100": {"share": {"census": 0.5}}}}})
    assert extended.run("python", "-c", FORECAST).stdout == "census/digits 110 True\n"
