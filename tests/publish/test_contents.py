"""A bundle holds what proves its results, says its terms, and is loaded by timm by the lines of its own README."""

import json
import re
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import yaml

from dbot.base.digest import file_digest
from dbot.base.errors import UserError
from dbot.cli import main
from dbot.lineage.judge import Judge, State
from dbot.models import checkpoint
from dbot.models.timm_form import as_timm
from dbot.plan import Plan
from dbot.publish import bundle as bundles
from dbot.publish import repository
from dbot.publish.contents import gathered, write
from dbot.report.table import build
from tests.fabricated import Project
from tests.fakes import FakeProject
from tests.publish.published import ROWS, at, closed
from tests.report.test_analyses import analyse
from tests.report.test_transfers import transfer

DEMO = "results/demo"


def test_timm_loads_it_by_the_lines_of_its_readme(whole: Path) -> None:
    (lines,) = re.findall(r"```python\n(.*?)```", (whole / "README.md").read_text(), re.DOTALL)
    assert len([line for line in lines.splitlines() if line]) == 3
    done: dict[str, Any] = {}
    with chdir(whole):
        exec(lines, done)
        last = Path(DEMO, "finetune/B-B/seed0/last.safetensors")
        ours, _ = as_timm(*checkpoint.load(last), "test")
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(done["model"](images), ours(images))


def test_it_is_laid_out_as_a_model_repository(whole: Path) -> None:
    card = huggingface_hub.ModelCard.load(whole / "README.md")
    assert card.data.library_name == "timm"
    found = {(result.task_type, result.dataset_type, result.metric_name, result.metric_value) for result in card.data.eval_results or ()}
    assert found == {("image-classification", "digits", f"top-1, row {row}", 50.0) for row in ROWS}
    for name in ("distill/B-B/stage1", "distill/B-B/stage2", "distill/L-L/stage2", "finetune/L-L/seed0"):
        assert {path.name for path in (whole / "models" / name).iterdir()} == {"README.md", "config.json", "model.safetensors"}
        assert f'"local-dir:models/{name}"' in (whole / "models" / name / "README.md").read_text()


def test_sets_that_the_hub_knows_have_results_there(finished: FakeProject, plan: Plan, tmp_path: Path) -> None:
    sets = {**plan.params.datasets, "digits": plan.params.datasets["digits"].model_copy(update={"hub": "someone/digits", "open": False})}
    there = Plan(replace(plan.resolved, params=plan.params.model_copy(update={"datasets": sets})))
    with at(finished.folder):
        write(gathered(there, ["B-B"]), tmp_path / "bundle", hub="someone/results")
    entries = huggingface_hub.parse_eval_result_entries(yaml.safe_load((tmp_path / "bundle/.eval_results/digits.yaml").read_text()))
    assert [(entry.dataset_id, entry.task_id, entry.value) for entry in entries] == [("someone/digits", "image_classification", 50.0)]
    assert '"hf-hub:someone/results"' in (tmp_path / "bundle/README.md").read_text()
    assert not list((tmp_path / "bundle").glob("croissant-*")), "its licence isn't known to allow it"


def test_pictures_of_closed_data_stay_and_are_not_missed(
    finished: FakeProject, plan: Plan, whole: Path, elsewhere: FakeProject, tmp_path: Path
) -> None:
    there = closed(plan, "digits")
    with at(finished.folder):
        some = write(gathered(there, ["B-B"]), tmp_path / "some")
        every = write(gathered(there, ["B-B"]), tmp_path / "every", pictures="all")
    pictures = {f"{DEMO}/prepare/digits/sheet.jpg", f"{DEMO}/distill/B-B/stage1/method.png", f"{DEMO}/distill/B-B/stage2/method.png"}
    assert every.files.keys() - some.files.keys() == pictures
    assert pictures <= bundles.read(whole).files.keys(), "digits are open"
    assert not any(name in (tmp_path / "some/ro-crate-metadata.json").read_text() for name in pictures)
    assert main(["restore", str(tmp_path / "some")]) == 0
    cell = elsewhere.plan.evaluate("B-B", "cls", "0")
    assert {found.own for found in Judge().of(cell).lineage()} - {State.ABSENT} == {State.BUILT}
    assert main(["verify", "B-B", "--skip-mlflow"]) == 0


def test_everything_behind_the_cells_is_in_it_and_nothing_else(whole: Path, finished: FakeProject, plan: Plan) -> None:
    cells = [plan.evaluate(row, "cls", "0") for row in ROWS]
    found = bundles.read(whole)
    assert found.targets[:2] == [cell.name for cell in cells]
    assert set(found.files) == set(bundles.names(whole))
    bundles.check(whole, found)
    receipts = {name for name in found.files if name.endswith("receipt.json")}
    assert receipts == {job.receipt.as_posix() for job in plan.jobs(cells)}
    for name in found.files:
        if name.startswith(("results/", "logs/")):
            assert file_digest(whole / name) == file_digest(finished.folder / name)
    assert not [name for name in found.files if name.startswith("data/")], "no data"
    assert f"{DEMO}/prepare/digits/samples.tsv" in found.files
    assert {"params.yaml", "workflow/Snakefile", "report.html", "table.csv", "CITATION.cff", "LICENCES.md"} <= set(found.files)
    assert [line.split(",")[0] for line in (whole / "table.csv").read_text().splitlines() if ",50.00," in line] == list(ROWS)
    assert "CC BY 4.0" in (whole / "LICENCES.md").read_text()


def test_figures_and_tables_of_evidence_are_in_it_where_any_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project.begin(tmp_path, monkeypatch)

    def written() -> list[str]:
        return repository._evidence(project.plan, Judge(), build(project.plan, Judge()))

    assert written() == []
    analyse(project, "B-B", 2)
    transfer(project, "B-B", "outlines", 60.0)
    assert written() == ["attention_distance.svg", "singular_shares.svg", "analyses.csv", "transfers.csv"]
    assert Path("attention_distance.png").is_file()
    assert ",60.00," in Path("transfers.csv").read_text()


def test_the_same_results_give_the_same_bytes(whole: Path, finished: FakeProject, plan: Plan, tmp_path: Path) -> None:
    with at(finished.folder):
        write(gathered(plan, ROWS), tmp_path / "again")
        other = write(gathered(plan, ROWS), tmp_path / "again", doi="10.5072/zenodo.7")
    first = bundles.read(whole)
    changed = {name for name in first.files if other.files[name] != first.files[name]}
    assert changed == {"CITATION.cff", "README.md", "ro-crate-metadata.json"}, "the DOI stands there, and nothing else has changed"
    assert yaml.safe_load((tmp_path / "again/CITATION.cff").read_text())["doi"] == "10.5072/zenodo.7"
    assert other.doi == "10.5072/zenodo.7"


def test_only_results_that_hold_are_published(finished: FakeProject, plan: Plan, tmp_path: Path) -> None:
    with at(finished.folder):
        with pytest.raises(UserError, match=r"evaluate/H-H/cls/seed0: has not run; only results that hold are published"):
            gathered(plan, ["B-B", "H-H"])
        with pytest.raises(UserError, match="is neither a file nor a cell"):
            gathered(plan, ["B-X"])
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine/notes.txt").write_text("x")
        assert main(["publish", "B-B", "--to", str(tmp_path / "mine")]) == 2
        assert main(["publish", "B-B", "--to", str(tmp_path / "b"), "--confirm"]) == 2
    assert (tmp_path / "mine/notes.txt").read_text() == "x"


def test_the_crate_knows_every_file_and_every_step(whole: Path, plan: Plan) -> None:
    graph = {entity["@id"]: entity for entity in json.loads((whole / "ro-crate-metadata.json").read_text())["@graph"]}
    parts = {part["@id"] for part in graph["./"]["hasPart"]}
    assert parts == {name for name in bundles.names(whole) if name != "ro-crate-metadata.json"}
    for name in parts - {"workflow/Snakefile"}:
        assert graph[name]["sha256"] == file_digest(whole / name)
    jobs = plan.jobs([plan.evaluate(row, "cls", "0") for row in ROWS])
    controls = [entity for entity in graph.values() if entity["@type"] == "ControlAction"]
    assert len(controls) == len(jobs)
    for control in controls:
        assert graph[control["object"]["@id"]]["@type"] == "CreateAction"
        assert graph[control["instrument"]["@id"]]["@type"] == "HowToStep"
    assert {step["@id"] for step in graph["workflow/Snakefile"]["step"]} == {f"workflow/Snakefile#{job.verb}" for job in jobs}
