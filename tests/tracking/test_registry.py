"""Each row's best model in MLflow's registry, linked to receipt and DVC."""

from typing import Any

import pytest
from mlflow import MlflowClient

from dbot.cli import main
from dbot.lineage import receipt as receipts
from dbot.tracking.address import tracking_uri
from dbot.versioning.pointer import md5
from tests import fakes
from tests.fakes import FakeProject


@pytest.fixture
def measured(stored: FakeProject) -> FakeProject:
    for row in ("B-B", "B-scratch"):
        stored.run_chain(stored.plan.evaluate(row, "cls", "0"))
    return stored


def registered(name: str = "dbot-demo-B-B", alias: str = "best-cls") -> Any:
    return MlflowClient(tracking_uri()).get_model_version_by_alias(name, alias)


def test_the_best_of_a_row_has_an_alias_and_its_tags_lead_to_receipt_and_dvc(measured: FakeProject) -> None:
    assert main(["sync"]) == 0
    plan, found = measured.plan, registered()
    job, cell = plan.finetune("B-B", "0"), plan.evaluate("B-B", "cls", "0")
    receipt = receipts.read(job.receipt)
    assert found.tags == {
        "dbot.receipt": receipt.id,
        "dbot.receipt_path": str(job.receipt),
        "dbot.cell": receipts.read(cell.receipt).id,
        "dbot.result.top1": "50.0",
        "dbot.path": str(job.folder / "last.safetensors"),
        "dbot.sha256": receipt.artifacts["last.safetensors"].sha256,
        "dvc.md5": md5(job.folder / "last.safetensors"),
    }
    client = MlflowClient(tracking_uri())
    assert client.get_run(found.run_id).data.tags["dbot.receipt"] == receipt.id
    assert [model.name for model in client.search_registered_models()] == ["dbot-demo-B-B"], "controls have none"


def test_done_twice_it_does_nothing(measured: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    for moved in (1, 0):
        assert main(["sync"]) == 0
        assert f"1 model registered as the best of their rows, {moved} of them registered or moved just now" in capsys.readouterr().out
    assert len(MlflowClient(tracking_uri()).search_model_versions("name = 'dbot-demo-B-B'")) == 1


def test_the_alias_follows_the_best_seed(measured: FakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["sync"]) == 0
    measured.set("seeds: [0]", "seeds: [0, 1]")
    monkeypatch.setitem(fakes.RESULTS, "evaluate", {"top1": 60.0, "images": 2})
    measured.run_chain(measured.plan.evaluate("B-B", "cls", "1"))
    assert main(["sync"]) == 0
    assert registered().tags["dbot.path"].endswith("finetune/B-B/seed1/last.safetensors")
    assert len(MlflowClient(tracking_uri()).search_model_versions("name = 'dbot-demo-B-B'")) == 2, "what was best before stays"


def test_a_stale_cell_has_no_best(measured: FakeProject) -> None:
    measured.set("label_smoothing: 0.1\n      head_init_std: 0.01", "label_smoothing: 0.2\n      head_init_std: 0.01")
    assert main(["sync"]) == 0
    assert not MlflowClient(tracking_uri()).search_registered_models()


def test_verify_finds_an_alias_that_leads_elsewhere_and_a_version_that_says_otherwise(
    measured: FakeProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "--skip-images"]) == 0
    assert "MLflow's registry: 1 of 1 models are not there; `dbot sync` registers them" in capsys.readouterr().out
    assert main(["sync"]) == 0
    assert main(["verify", "--skip-images"]) == 0
    assert "1 model as MLflow's registry has them, best of their rows" in capsys.readouterr().out
    client, right = MlflowClient(tracking_uri()), registered()

    wrong = client.create_model_version("dbot-demo-B-B", "dvc:///elsewhere", right.run_id, {**right.tags, "dbot.sha256": "0" * 64})
    client.set_registered_model_alias("dbot-demo-B-B", "best-cls", wrong.version)
    assert main(["verify", "--skip-images"]) == 2
    said = capsys.readouterr().err
    assert f"dbot-demo-B-B@best-cls has tag dbot.sha256 = {'0' * 64}, by the receipts it is" in said
    assert said.rstrip().endswith("`dbot sync` mends it")
    assert said.count("\n") == 1
    assert main(["sync"]) == 0
    assert registered().version == right.version

    client.set_model_version_tag("dbot-demo-B-B", right.version, "dbot.result.top1", "99.0")
    assert main(["verify", "--skip-images"]) == 2
    assert "has tag dbot.result.top1 = 99.0, by the receipts it is 50.0" in capsys.readouterr().err
    assert main(["sync"]) == 0
    assert main(["verify", "--skip-images"]) == 0
