"""Cells of detection and segmentation travel as those of classification do; what shows closed data stays behind, and is not missed."""

import base64
from pathlib import Path

import huggingface_hub
import pytest

from dbot.base.digest import file_digest
from dbot.cli import main
from dbot.jobs.evaluate import GALLERY
from dbot.lineage.judge import Judge, State
from dbot.plan import Job, Plan
from dbot.publish import bundle as bundles
from dbot.publish.bundle import Bundle
from dbot.publish.contents import gathered, write
from tests import fakes
from tests.fakes import FakeProject
from tests.publish.published import at, clone_of, closed, make_project
from tests.workflow.conftest import snakemake

FOUND = {"box_ap": 41.5, "miou": 30.25, "images": 2}
DIGITS, BOXES, MAPS = "digits", "scenes-boxes", "scenes-maps"


def cells(plan: Plan) -> list[Job]:
    return [plan.evaluate("B-B", column, "0") for column in ("det", "seg")]


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> FakeProject:
    """A project with both dense cells of a row, whose galleries are no pictures; shared."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(fakes.RESULTS, "evaluate", FOUND)
        return make_project(tmp_path_factory.mktemp("dense") / "project", cells)


def published(dense: FakeProject, target: Path, *closed_sets: str) -> Bundle:
    with at(dense.folder):
        plan = closed(dense.plan, *closed_sets)
        assert set(closed_sets) <= {job.key.get("dataset") for job in plan.jobs(cells(plan))}
        return write(gathered(plan, ["B-B/det", "B-B/seg"]), target)


def shown(bundle: Bundle) -> set[str]:
    """The pictures in it, by the jobs that drew them."""
    lying = (Path(name) for name in bundle.files if name.startswith("results/"))
    return {f"{path.parent.relative_to('results/demo')}/{path.name}" for path in lying if path.suffix in (".png", ".jpg")}


SHEETS = {f"prepare/{name}/sheet.jpg" for name in (DIGITS, BOXES, MAPS)}
METHOD = {f"distill/B-B/stage{stage}/method.png" for stage in (1, 2, 3)}
GALLERIES = {f"evaluate/B-B/{column}/seed0/{GALLERY}" for column in ("det", "seg")}


def test_dense_cells_are_published_and_restored_with_their_galleries(
    dense: FakeProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = published(dense, tmp_path / "bundle")
    assert shown(found) == SHEETS | METHOD | GALLERIES
    card = huggingface_hub.ModelCard.load(tmp_path / "bundle/README.md")
    results = {(each.task_type, each.dataset_type, each.metric_type, each.metric_value) for each in card.data.eval_results or ()}
    assert results == {("object-detection", BOXES, "mAP", 41.5), ("image-segmentation", MAPS, "mean_iou", 30.25)}
    assert {name for name in found.files if name.startswith("croissant-")} == {f"croissant-{n}.json" for n in (DIGITS, BOXES, MAPS)}
    there = clone_of(dense, tmp_path / "there")
    with at(there.folder):
        assert main(["restore", str(tmp_path / "bundle")]) == 0
        assert {Judge().of(cell).state for cell in cells(there.plan)} == {State.BUILT}
        for name in GALLERIES | {"evaluate/B-B/det/seed0/detections.json", "segment/B-B/seed0/model.safetensors"}:
            assert file_digest(Path("results/demo", name)) == file_digest(dense.folder / "results/demo" / name)
        capsys.readouterr()
        assert main(["verify", "B-B/det", "B-B/seg", "--skip-mlflow"]) == 0
        assert "2 results of scale demo and all that is behind them match" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("names", "left"),
    [
        ((BOXES, MAPS), {f"prepare/{DIGITS}/sheet.jpg"} | METHOD),
        ((MAPS,), {f"prepare/{name}/sheet.jpg" for name in (DIGITS, BOXES)} | METHOD | {f"evaluate/B-B/det/seed0/{GALLERY}"}),
        ((DIGITS,), {f"prepare/{name}/sheet.jpg" for name in (BOXES, MAPS)}),
    ],
)
def test_what_shows_closed_data_is_not_in_a_bundle(dense: FakeProject, names: tuple[str, ...], left: set[str], tmp_path: Path) -> None:
    """Closed data that a network was pre-trained on close what it is shown to make of others, too."""
    found = published(dense, tmp_path / "bundle", *names)
    assert shown(found) == left
    content = {name: (tmp_path / "bundle" / name).read_bytes() for name in found.files}
    for name in (SHEETS | METHOD | GALLERIES) - left:
        path = dense.folder / "results/demo" / name
        picture = path.read_bytes()
        for form in (picture, base64.b64encode(picture)):
            assert [each for each, lying in content.items() if form in lying] == []
        assert f"results/demo/{name}".encode() not in content["ro-crate-metadata.json"]
    assert not [name for name in found.files if name.startswith("data/")]
    for name in (DIGITS, BOXES, MAPS):
        assert (f"croissant-{name}.json" in found.files) == (name not in names)
        assert f"results/demo/prepare/{name}/samples.tsv" in found.files, "manifests travel"
        assert dense.plan.params.datasets[name].licence in content["LICENCES.md"].decode()


def test_a_bundle_without_its_galleries_is_restored_and_nothing_runs_again(
    dense: FakeProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published(dense, tmp_path / "bundle", BOXES, MAPS)
    there = clone_of(dense, tmp_path / "there")
    with at(there.folder):
        assert main(["restore", str(tmp_path / "bundle")]) == 0
        wanted = cells(there.plan)
        assert not any((job.folder / GALLERY).exists() for job in wanted)
        assert Judge().to_do(there.plan, wanted) == []
        done = snakemake(there.folder, "--dry-run", "--config", "scale=demo", "--", *(str(job.receipt) for job in wanted))
        assert done.returncode == 0, done.stdout
        assert "Nothing to be done" in done.stdout
        assert main(["verify", "B-B/det", "B-B/seg", "--skip-mlflow"]) == 0
        assert main(["publish", "B-B/det", "--to", "again"]) == 0, "it travels on"
        assert bundles.read(Path("again")).targets == ["evaluate/B-B/det/seed0"]
        assert main(["restore", str(tmp_path / "bundle")]) == 0
    assert "restored 0 jobs" in capsys.readouterr().out
