"""The demo, end to end: table, receipts, DVC, MLflow, a second clone. One small project for all tests of this file."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from dbot.lineage import receipt as receipts
from dbot.lineage.executions import execution_of
from tests.e2e.project import Copy

FILLED = ("B-B", "L-L", "H-H", "H448-H")
VIEWS = {"all", "table", "report"}
"""What is written anew where params.yaml was touched."""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Copy:
    copy = Copy.made(tmp_path_factory.mktemp("e2e") / "a project with spaces")
    copy.run("workflow/run", "--cores", "2")
    return copy


def table(copy: Copy) -> dict[str, dict[str, str]]:
    with (copy.folder / "results/demo/table.csv").open() as stream:
        return {row["row"]: row for row in csv.DictReader(stream)}


def planned(copy: Copy, *arguments: str) -> set[str]:
    """Rules that a dry run would run."""
    done = copy.run("snakemake", "-n", *arguments)
    said = done.stdout + done.stderr
    rules = set(re.findall(r"^([a-z_]+) +\d+$", said.partition("Job stats:")[2].partition("\n\n")[0], re.MULTILINE)) - {"total"}
    assert rules or "Nothing to be done" in said, "neither jobs nor the word that there are none"
    return rules


def test_four_cells_are_measured_and_the_others_not_run(built):
    rows = table(built)
    assert {name for name, row in rows.items() if row["cls_measured"] and name in built.plan.params.build.rows} == set(FILLED)
    for name, row in rows.items():
        if name not in FILLED and not name.endswith("scratch"):
            assert row["cls_measured"] == "", name
            assert "not run" in row["cls_status"], name
    assert rows["B-B"]["cls_published"] == "84.5"


def test_cells_equal_their_receipts(built):
    for name in FILLED:
        found = receipts.read(built.folder / built.plan.evaluate(name, "cls", 0).receipt)
        assert float(table(built)[name]["cls_measured"]) == pytest.approx(found.results["top1"], abs=0.006)
        assert found.id.startswith(table(built)[name]["cls_receipt"])


def test_nothing_is_left_to_do(built):
    assert planned(built) == set()
    assert not list((built.folder / "state").rglob("*.pt")), "training state is removed by the job that succeeds"


def test_a_finetuning_parameter_reruns_finetuning_alone(built):
    before = (built.folder / "params/demo.yaml").read_bytes()
    built.change({"recipes": {"finetune": {"asymmetric": {"label_smoothing": 0.05}}}})
    try:
        found = planned(built)
    finally:
        (built.folder / "params/demo.yaml").write_bytes(before)
    assert found == {"all", "finetune", "evaluate", "table", "report"}
    assert planned(built) <= VIEWS


def test_lineage_leads_to_the_images(built):
    text = built.run("dbot", "lineage", "B-B/cls").stdout
    for word in ("evaluate", "finetune", "stage 2", "stage 1", "prepare", "generate", "licence"):
        assert word in text, word
    assert "match" in built.run("dbot", "verify").stdout


@pytest.mark.parametrize(
    "victim",
    [
        "distill/B-B/stage1/student.safetensors",
        "finetune/B-B/seed0/receipt.json",
        "prepare/digits/samples.tsv",
        "evaluate/B-B/cls/seed0/metrics.json",
    ],
)
def test_a_flipped_byte_is_found(built, victim):
    path = built.folder / "results/demo" / victim
    content = path.read_bytes()
    harmed = bytearray(content)
    harmed[len(harmed) // 2] ^= 1
    path.write_bytes(harmed)
    try:
        said = built.run("dbot", "verify", "B-B/cls", status=2).stderr
        assert victim in said
        assert len(said.strip().splitlines()) == 1
    finally:
        path.write_bytes(content)


def test_a_flipped_image_is_found(built):
    path = next((built.folder / "data/digits/train").rglob("*.png"))
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        assert path.name in built.run("dbot", "verify", "B-B/cls", status=2).stderr
    finally:
        path.write_bytes(content)


def test_mlflow_has_a_run_for_every_execution(built):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{built.folder}/mlflow.db")
    experiment = client.get_experiment_by_name("dbot/demo")
    runs = client.search_runs([experiment.experiment_id], max_results=500)
    shelves = {run.info.run_id: run.data.tags["dbot.parent"] for run in runs if "dbot.parent" in run.data.tags}
    executions = {run.data.tags["dbot.execution"]: run for run in runs if "dbot.execution" in run.data.tags}
    for job in built.plan.jobs():
        found = receipts.read(built.folder / job.receipt)
        run = executions[execution_of(built.folder / job.receipt, found.id).name]
        assert run.info.status == "FINISHED"
        assert run.data.tags["dbot.receipt"] == found.id
        row = job.key.get("row")
        assert shelves[run.data.tags["mlflow.parentRunId"]] == (f"row:{row}" if row else "data")
        if job.verb in ("distill", "finetune"):
            history = client.get_metric_history(run.info.run_id, "loss")
            assert [point.step for point in history] == list(range(1, len(history) + 1)), "each epoch once"
            assert run.inputs.dataset_inputs
    assert len(executions) == len(built.plan.jobs()), "no run without a receipt"
    before = len(runs)
    built.run("dbot", "sync")
    assert len(client.search_runs([experiment.experiment_id], max_results=500)) == before


def test_dvc_keeps_every_checkpoint(built):
    for job in built.plan.jobs():
        for name in job.artifacts:
            if name.endswith((".safetensors", ".tsv")):
                assert f"path: {name}" in (built.folder / job.folder / f"{name}.dvc").read_text()
    assert "path: digits" in (built.folder / "data/digits.dvc").read_text()
    shown = json.loads(built.run("dvc", "metrics", "show", "--json").stdout)
    assert "results/demo/evaluate/B-B/cls/seed0/metrics.json" in json.dumps(shown)
    assert built.run("dvc", "plots", "show", "--json").stdout.count("metrics.csv") > 0


def test_a_checkpoint_that_was_deleted_is_had_back(built):
    checkpoint = built.folder / built.plan.distill("B-B", 1).folder / "student.safetensors"
    before = checkpoint.read_bytes()
    checkpoint.unlink()
    assert planned(built) <= VIEWS
    assert checkpoint.read_bytes() == before


def test_a_second_clone_retrains_nothing(built, tmp_path):
    built.git("add", "-A")
    built.git("commit", "-qm", "results")
    built.run("dvc", "remote", "add", "--force", "--local", "-d", "store", str(tmp_path / "store"))
    built.run("dvc", "push")
    built.run("git", "clone", "-q", str(built.folder), str(tmp_path / "clone"))
    shutil.copy(built.folder / ".dvc/config.local", tmp_path / "clone/.dvc/config.local")
    clone = Copy(tmp_path / "clone")
    clone.run("dvc", "pull")
    assert planned(clone) == {"all", "table", "report"}, "which are written from the receipts, and not in git"
    for command in (["status"], ["data", "status"], ["metrics", "show"], ["plots", "show"], ["checkout", "data/digits"]):
        clone.run("dvc", *command)
    said = clone.run("dbot", "verify").stdout
    assert "match" in said
    assert "MLflow: not checked" in said, "it stays where it was filled"
    assert {result["state"] for result in json.loads(clone.run("dbot", "status", "--format", "json").stdout)["results"]} == {"built"}
    clone.run("workflow/run", "--cores", "2")
    for name in ("table.csv", "table.md"):
        assert (clone.folder / "results/demo" / name).read_bytes() == (built.folder / "results/demo" / name).read_bytes()
    for job in built.plan.jobs():
        assert (clone.folder / job.receipt).read_bytes() == (built.folder / job.receipt).read_bytes(), "nothing ran again"
    assert clone.run("dbot", "gc").stdout.startswith("nothing: ")


def test_what_stands_on_record_is_said_in_every_form(built):
    for form in ("json", "prov", "ro-crate"):
        assert json.loads(built.run("dbot", "lineage", "--format", form).stdout)
    assert built.run("dbot", "lineage", "--format", "mermaid").stdout.startswith("flowchart")


def test_the_best_model_of_each_row_is_registered(built):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{built.folder}/mlflow.db")
    assert {model.name for model in client.search_registered_models()} == {f"dbot-demo-{name}" for name in FILLED}
    for name in FILLED:
        version = client.get_model_version_by_alias(f"dbot-demo-{name}", "best-cls")
        receipt = receipts.read(built.folder / version.tags["dbot.receipt_path"])
        assert version.tags["dbot.receipt"] == receipt.id
        assert version.tags["dvc.md5"] in Path(built.folder, f"{version.tags['dbot.path']}.dvc").read_text()
