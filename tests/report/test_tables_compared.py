"""Tables side by side: numbers of every place, and what differs behind a cell, by its receipts."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dbot.cli import main
from dbot.lineage import executions
from dbot.lineage import receipt as receipts
from dbot.lineage.records import records_at
from dbot.publish import bundle as bundles
from dbot.publish.bundle import write_zips
from dbot.report.tables_compared import Cell, State, What, build
from dbot.report.tables_shown import as_page
from tests.fabricated import Project
from tests.fakes import sealed_anew

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def rewritten(job: Any, **what: Any) -> None:
    """A receipt that says something else, sealed anew, with its execution; what was made from it is made anew as well."""
    before = receipts.read(job.receipt)
    execution = executions.execution_of(job.receipt, before.id)
    after = receipts.make(**{**before.model_dump(exclude={"format", "id"}), **what})
    receipts.write(after, job.receipt)
    executions.write(sealed_anew(execution, receipt=after.id), job.receipt)


def relinked(project: Project) -> None:
    """Every receipt names the inputs that lie there now."""
    for job in project.plan.jobs([job for job in project.plan.cells() if job.receipt.exists()]):
        inputs = {role: {"path": each.receipt.as_posix(), "id": receipts.read(each.receipt).id} for role, each in job.inputs.items()}
        rewritten(job, inputs=inputs)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project under git with two cells of three seeds, committed."""
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "someone")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    made = Project.begin(tmp_path, monkeypatch).reload(("seeds: [0]", "seeds: [0, 1, 2]"))
    for row, of in (("B-B", (80.0, 81.0, 82.0)), ("L-L", (85.0, 85.5, 86.0))):
        for seed, top1 in enumerate(of):
            made.pretend(made.plan.evaluate(row, "cls", seed), top1)
    subprocess.run(["git", "init", "-q", "-b", "trunk", "."], check=True)
    subprocess.run(["git", "add", "results"], check=True)
    subprocess.run(["git", "commit", "-qm", "results"], check=True)
    return made


def cells(*places: str) -> dict[str, Cell]:
    return {cell.row: cell for cell in build([records_at(place) for place in places]).cells}


def told(cell: Cell) -> list[tuple[What, str, str, str, str]]:
    return [(one.what, one.key, one.was, one.now, one.told) for one in cell.beside[0].differences]


def test_a_revision_and_the_folder_that_it_is_of_are_the_same(project: Project) -> None:
    found = cells("HEAD", ".")
    assert list(found) == ["B-B", "L-L"]
    assert found["B-B"].state is State.SAME
    assert found["B-B"].at[0] is not None
    assert (found["B-B"].at[0].mean, found["B-B"].at[0].sd, list(found["B-B"].at[0].values)) == (81.0, 1.0, [0, 1, 2])
    assert found["B-B"].beside[0].difference == 0.0


def test_parameters_that_differ_are_named_with_their_job(project: Project) -> None:
    job = project.plan.distill("B-B", 1)
    settings = receipts.read(job.receipt).settings
    rewritten(job, settings={**settings, "recipe": {**settings["recipe"], "mask_ratio": 0.5}})
    evaluated = project.plan.evaluate("B-B", "cls", 0)
    rewritten(evaluated, results={"top1": 83.0, "images": 1000})
    relinked(project)
    found = cells("HEAD", ".")
    assert found["L-L"].state is State.SAME
    assert found["B-B"].state is State.OTHER
    assert found["B-B"].beside[0].difference == pytest.approx(1.0), "of the means over the three seeds"
    was = str(settings["recipe"]["mask_ratio"])
    assert (What.PARAMETERS, "recipe.mask_ratio", was, "0.5", "distill/B-B/stage1") in told(found["B-B"])
    assert What.CODE not in found["B-B"].kinds


def test_code_environment_and_data_that_differ_are_named(project: Project) -> None:
    jobs = project.plan.jobs([project.plan.evaluate("B-B", "cls", seed) for seed in range(3)])
    for job in jobs:
        rewritten(job, code="d1ff", environment={"python": "3.12"}, device="NVIDIA H100", processes=8)
    rewritten(project.plan.prepare("digits"), results={"train_images": 2999, "validation_images": 1000, "digest": "d2" * 32})
    relinked(project)
    found = told(cells("HEAD", ".")["B-B"])
    everywhere = f"{len(jobs)} jobs"
    commit = "0123456789ab"
    assert (What.CODE, "src/dbot", f"c0de ({commit})", f"d1ff ({commit})", everywhere) in found
    assert (What.ENVIRONMENT, "python", "3.11", "3.12", everywhere) in found
    assert (What.ENVIRONMENT, "device", "cpu", "NVIDIA H100", everywhere) in found
    assert (What.ENVIRONMENT, "processes", "1", "8", everywhere) in found
    assert (What.DATA, "train_images", "3000", "2999", "prepare/digits") in found
    assert (What.DATA, "digest", "d1" * 6, "d2" * 6, "prepare/digits") in found
    assert not [one for one in found if one[0] is What.NOTHING]


def test_a_result_that_nothing_on_record_explains_is_said_to_be_one(project: Project) -> None:
    rewritten(project.plan.finetune("B-B", 1), results={"top1": 12.0})
    relinked(project)
    assert told(cells("HEAD", ".")["B-B"]) == [(What.NOTHING, "top1", "–", "12.0", "finetune/B-B/seed1")]
    job = project.plan.finetune("B-B", 1)
    name = next(name for name in receipts.read(job.receipt).artifacts if name.endswith(".safetensors"))
    (job.folder / name).write_bytes(b"another")
    rewritten(job, artifacts={**receipts.read(job.receipt).artifacts, name: receipts.artifact_of(job.folder / name)})
    relinked(project)
    assert told(cells("HEAD", ".")["B-B"])[0] == (What.FILES, name, "some bytes", "others", "finetune/B-B/seed1")
    assert cells("HEAD", ".")["B-B"].state is State.EQUAL, "the number is the same, and comes from elsewhere"


def test_seeds_that_only_one_has_take_no_part_in_the_difference(project: Project) -> None:
    shutil.rmtree("results/demo/evaluate/B-B/cls/seed2")
    found = cells("HEAD", ".")["B-B"]
    assert found.at[1] is not None
    assert (found.at[1].mean, found.beside[0].seeds, found.beside[0].difference) == (80.5, (0, 1), 0.0)
    assert found.state is State.OTHER
    shutil.rmtree("results/demo/evaluate/B-B")
    found = cells("HEAD", ".")["B-B"]
    assert (found.at[1], found.state, found.beside[0].difference) == (None, State.ONE_SIDE, None)


def test_a_chain_that_is_broken_is_marked(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    rewritten(project.plan.distill("B-B", 1), results={"loss": 0.5})
    assert main(["compare-tables", "HEAD", "."]) == 0
    said = capsys.readouterr().out
    assert re.search(r"B-B +cls +81\.00 ± 1\.00 +81\.00 ± 1\.00 \*", said)
    assert "was made from another results/demo/distill/B-B/stage1/receipt.json" in said


def test_a_bundle_is_read_wherever_its_receipts_lie(project: Project, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle" / "of" / "cells"
    shutil.copytree("results/demo", bundle)
    assert all(cell.state is State.SAME for cell in cells(".", str(tmp_path / "bundle")).values())


def test_a_bundle_in_zips_is_read_as_it_is(project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("results", tmp_path / "bundle" / "results")
    bundles.describe(tmp_path / "bundle", "demo", [], None)
    one = write_zips(tmp_path / "bundle", tmp_path / "one.zip")
    zips = write_zips(tmp_path / "bundle", tmp_path / "some.zip", limit=20_000)
    assert len(one) < len(zips)
    for path in (one[0], zips[-1]):
        assert main(["compare-tables", ".", str(path)]) == 0
        assert "2 cells: 2 same receipts" in capsys.readouterr().out
    zips[0].write_bytes(zips[0].read_bytes()[:-100])
    assert main(["compare-tables", ".", str(zips[-1])]) == 2
    assert f"{zips[0]}: is cut off or damaged" in capsys.readouterr().err
    zips[0].unlink()
    assert main(["compare-tables", ".", str(zips[-1])]) == 2
    assert f"{zips[0]}: is missing" in capsys.readouterr().err


def test_three_places_as_text_csv_and_json(project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shutil.copytree("results", tmp_path / "third" / "results")
    rewritten(project.plan.evaluate("L-L", "cls", 0), results={"top1": 87.0, "images": 1000})
    places = ["HEAD", ".", str(tmp_path / "third")]
    assert main(["compare-tables", *places]) == 0
    said = capsys.readouterr().out
    assert re.search(r"scale +row +column +A +B +B - A +C +C - A +seeds +differs in\n", said)
    assert re.search(r"demo +L-L +cls +85\.50 ± 0\.50 +86\.17 ± 0\.76 +\+0\.67 +85\.50 ± 0\.50 +0 +0 1 2 +nothing on record\n", said)
    assert "2 cells: 1 same receipts, 1 other number" in said
    assert main(["compare-tables", *places, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["row"], row["A_measured"], row["B_measured"], row["B_difference"], row["B_state"]) for row in rows] == [
        ("B-B", "81.00", "81.00", "0.00", "same receipts"),
        ("L-L", "85.50", "86.17", "0.67", "other number"),
    ]
    assert main(["compare-tables", *places, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cells"][1]["at"]["B"]["seeds"]["0"]["results"] == {"images": 1000, "top1": 87.0}
    assert found["cells"][1]["beside"]["C"]["state"] == "same receipts"


@pytest.mark.parametrize(
    ("places", "said"),
    [
        (["."], "is one place"),
        ([".", "no-such-branch"], "no-such-branch: is neither a folder nor a revision"),
        ([".", "empty"], "empty: holds no receipts"),
        ([".", "trunk"], "trunk: is a folder and a revision too; name the folder as ./trunk"),
        ([".", "HEAD", "--scale", "paper"], "hold no result of a cell at scale paper"),
        (["HEAD", "./twice"], "is a second receipt of evaluate/B-B/cls/seed0"),
        (["HEAD", "./spoilt"], "was changed after it was written"),
    ],
)
def test_what_is_no_table_is_one_line(project: Project, capsys: pytest.CaptureFixture[str], places: list[str], said: str) -> None:
    for name in ("empty", "trunk"):
        Path(name).mkdir()
    rewritten(project.plan.evaluate("B-B", "cls", 0), device="another")
    for part, name in (("1", "twice/one"), ("2", "twice/two")):
        shutil.copytree("results/demo/evaluate/B-B/cls/seed0", name)
        if part == "1":
            subprocess.run(["git", "checkout", "-q", "results"], check=True)
    shutil.copytree("twice/one", "spoilt")
    Path("spoilt/receipt.json").write_text(Path("spoilt/receipt.json").read_text().replace("another", "an other"))
    assert main(["compare-tables", *places]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


LOOK = """
<script>
addEventListener("load", () => {
  const shown = () => [...document.querySelectorAll("#cells > tbody > tr")].filter((row) => !row.hidden).map((row) => row.dataset.row);
  const choose = (selector, value) => {
    const one = document.querySelector(selector);
    if (value === undefined) one.click(); else { one.value = value; one.dispatchEvent(new Event("input", {bubbles: true})); }
  };
  const found = {all: shown()};
  choose("[name=state][value='same receipts']"); found.differing = shown();
  choose("[name=state][value='same receipts']");
  choose("[name=kind][value=code]"); found.code = shown();
  choose("[name=kind][value=parameters]"); found.parameters = shown();
  choose("[name=kind][value='']");
  choose("#row", "l-"); found.named = shown();
  found.overflow = document.documentElement.scrollWidth - innerWidth;
  found.requests = performance.getEntriesByType("resource").map((entry) => entry.name);
  document.body.setAttribute("data-found", JSON.stringify(found));
});
</script>
"""


@pytest.mark.skipif(BROWSER is None, reason="needs a browser")
def test_the_page_filters_in_a_browser(project: Project, tmp_path: Path) -> None:
    from tests.report.test_browser import browsed

    for job in project.plan.jobs([project.plan.evaluate("B-B", "cls", 0)]):
        rewritten(job, code="d1ff")
    relinked(project)
    file = tmp_path / "page.html"
    file.write_text(as_page(build([records_at("HEAD"), records_at(".")])).replace("</body>", f"{LOOK}</body>"))
    found, console = browsed(tmp_path, file, (1280, 900))
    assert console == ""
    assert found["all"] == ["b-b", "l-l"]
    assert found["code"] == ["b-b", "l-l"], "the data are both's"
    assert found["parameters"] == []
    assert found["named"] == ["l-l"]
    assert (found["overflow"], found["requests"]) == (0, [])
