"""The rows of the table and the models of jobs in MLflow."""

import base64
import json
import zlib
from typing import Any

import pytest
from mlflow import MlflowClient

from dbot.cli import main
from dbot.lineage import receipt as receipts
from dbot.tracking.address import tracking_uri
from dbot.tracking.runs import NOTE, named
from tests import fakes
from tests.fakes import FakeProject
from tests.lineage.test_verify import in_mlflow


@pytest.fixture
def measured(stored: FakeProject) -> FakeProject:
    for row in ("B-B", "B-scratch"):
        stored.run_chain(stored.plan.evaluate(row, "cls", "0"))
    return stored


def run(name: str) -> Any:
    client = MlflowClient(tracking_uri())
    experiment = client.get_experiment_by_name("dbot/demo")
    (found,) = client.search_runs([experiment.experiment_id], f"attributes.run_name = '{name}'")
    return client.get_run(found.info.run_id)


def test_a_row_shows_what_the_table_says_in_its_order(measured: FakeProject) -> None:
    assert main(["sync"]) == 0
    row, control = run("B-B"), run("B-scratch")
    assert row.data.metrics == {"place": 1.0, "top-1": 50.0, "top-1 control": 50.0, "top-1 margin": 0.0}
    assert control.data.metrics == {"place": 2.0, "top-1": 50.0}
    assert row.data.tags["student"] == "ViT-B (demo)"
    assert row.data.tags["teacher"] == "B"
    cell = receipts.read(measured.plan.evaluate("B-B", "cls", "0").receipt)
    assert f"`dbot lineage B-B/cls`, receipt {cell.id[:12]}" in row.data.tags[NOTE]
    assert row.info.status == "FINISHED"


def test_done_twice_it_changes_nothing_and_follows_the_table(
    measured: FakeProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for changed, linked in ((2, 4), (0, 0)):
        assert main(["sync"]) == 0
        assert f"2 rows of the table, {changed} of them changed, {linked} models linked just now" in capsys.readouterr().out
    measured.set("seeds: [0]", "seeds: [0, 1]")
    monkeypatch.setitem(fakes.RESULTS, "evaluate", {"top1": 60.0, "images": 2})
    measured.run_chain(measured.plan.evaluate("B-B", "cls", "1"))
    assert main(["sync"]) == 0
    assert run("B-B").data.metrics["top-1"] == 55.0
    assert run("B-B").data.metrics["top-1 sd"] == 7.071


def test_what_is_no_longer_measured_is_no_number(measured: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sync"]) == 0
    measured.set("label_smoothing: 0.1\n      head_init_std: 0.01", "label_smoothing: 0.2\n      head_init_std: 0.01")
    assert main(["sync"]) == 0
    assert str(run("B-B").data.metrics["top-1"]) == "nan"


def test_the_view_of_the_table_is_there_and_a_persons_own_stays(measured: FakeProject) -> None:
    assert main(["sync"]) == 0
    client, key = MlflowClient(tracking_uri()), "mlflow.sharedViewState.dbot"
    experiment = client.get_experiment_by_name("dbot/demo")
    saved = json.loads(experiment.tags[key])
    state = json.loads(zlib.decompress(base64.b64decode(saved["state"].removeprefix("deflate;"))))
    assert saved["name"] == "The table"
    assert "metrics.`top-1 margin`" in state["selectedColumns"]
    own = json.dumps({**saved, "updatedAt": 1796067527046})
    client.set_experiment_tag(experiment.experiment_id, key, own)
    assert main(["sync"]) == 0
    assert client.get_experiment_by_name("dbot/demo").tags[key] == own


def test_a_model_is_made_by_its_run_and_read_by_those_that_measure_it(measured: FakeProject) -> None:
    assert main(["sync"]) == 0
    client, job = MlflowClient(tracking_uri()), measured.plan.finetune("B-B", "0")
    receipt = receipts.read(job.receipt)
    trained, measuring = run(named(job)), run("B-B evaluate cls seed0")
    (made,) = trained.outputs.model_outputs
    assert [each.model_id for each in measuring.inputs.model_inputs] == [made.model_id]
    model = client.get_logged_model(made.model_id)
    assert (model.name, model.model_type, str(model.status)) == ("B-B finetune seed0", "classifier", "READY")
    assert model.source_run_id == trained.info.run_id
    assert model.tags["dbot.sha256"] == receipt.artifacts["last.safetensors"].sha256
    found = {(metric.key, metric.value, metric.dataset_name) for metric in model.metrics}
    assert found == {("result/top1", 50.0, "digits"), ("result/images", 2.0, "digits")}
    assert len(client.get_metric_history(measuring.info.run_id, "result/top1")) == 1
    student = run("B-B distill stage2").inputs.model_inputs
    assert [client.get_logged_model(each.model_id).name for each in student] == ["B-B distill stage1"]


def test_verify_holds_rows_and_models(measured: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sync"]) == 0
    assert main(["verify", "--skip-images"]) == 0
    assert "2 rows and 4 models as MLflow has them" in capsys.readouterr().out
    in_mlflow("update metrics set value = 99.0 where key = 'top-1 margin'")()
    assert main(["verify", "--skip-images"]) == 2
    said = capsys.readouterr().err
    assert "the run of row B-B has top-1 margin = 99.0, by the receipts it is 0.0; `dbot sync` mends it" in said
    assert said.count("\n") == 1
    assert main(["sync"]) == 0
    assert main(["verify", "--skip-images"]) == 0
    in_mlflow("update logged_model_tags set tag_value = 'f' where tag_key = 'dbot.sha256'")()
    assert main(["verify", "--skip-images"]) == 2
    assert "has tag dbot.sha256 = f, its receipt" in capsys.readouterr().err


def test_of_runs_that_were_made_twice_at_once_one_is_kept_with_all_below_it(stored: FakeProject) -> None:
    """As clones of a project make them on one server, or a server that died before it answered."""
    job = stored.plan.distill("B-B", "1")
    stored.run_chain(job)
    assert main(["sync"]) == 0
    client, parent, below = MlflowClient(tracking_uri()), "mlflow.parentRunId", run(named(job))
    experiment, execution = below.info.experiment_id, below.data.tags["dbot.execution"]
    shelf = client.create_run(experiment, tags={"dbot.parent": "row:B-B"}, run_name="B-B").info.run_id
    client.set_tag(below.info.run_id, parent, shelf)
    client.create_run(experiment, tags={"dbot.execution": execution, parent: shelf}, run_name=named(job))
    assert main(["sync"]) == 0
    (only,) = client.search_runs([experiment], f"tags.`dbot.execution` = '{execution}'")
    assert only.info.status == "FINISHED"
    assert only.data.tags[parent] == run("B-B").info.run_id
    assert main(["verify", str(job.folder), "--skip-images"]) == 0
