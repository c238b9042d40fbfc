"""The documents hang together: the table is that of its file, no link is dead, every page can be reached, the reference is whole."""

import json
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dbot import cli
from dbot.params.document import Params
from tests.conftest import PROJECT

PROGRAMS = PROJECT / "docs" / "programs"
PAGES = sorted((PROJECT / "docs").rglob("*.md"))
DOCUMENTS = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *PAGES]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
MADE = {"reference/verbs.md", "reference/params.md"}
"""Pages that have no file: docs/programs writes them when the site is built."""


SHARED = ("-h", "--help", "--params", "--scale", "--json")
"""Flags that the page says once for all verbs."""


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return runpy.run_path(str(PROGRAMS / "results.py"))


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    before = list(sys.path)
    try:
        return runpy.run_path(str(PROGRAMS / "reference.py"))
    finally:
        sys.path[:] = before


def test_the_front_is_short() -> None:
    assert len((PROJECT / "README.md").read_text().splitlines()) <= 130


@pytest.mark.parametrize("page", ["README.md", "docs/demo.md"])
def test_what_was_measured_is_that_of_its_files(results: dict[str, Any], page: str) -> None:
    text = (PROJECT / page).read_text()
    assert results["filled"](text) == text, "run `make docs-results`"


def test_every_part_stands_on_the_page(results: dict[str, Any]) -> None:
    assert all(results["begin"](name) in (PROJECT / "docs" / "demo.md").read_text() for name in results["PARTS"])


def test_the_table_shows_deviations_and_what_there_is_not(results: dict[str, Any], tmp_path: Path) -> None:
    heads = [f"{column}_{what}" for column in ("cls", "det", "seg") for what in ("measured", "sd", "control")]
    lines = ("B-B,B,76.24,0.31,51.40,,,,29.70,,34.10", "B-scratch,none,51.4,,,,,,,,")
    (tmp_path / "table.csv").write_text(f"row,teacher,{','.join(heads)}\n" + "\n".join(lines) + "\n")
    assert results["table"](tmp_path).splitlines()[2:] == ["| B-B | B | **76.2** ± 0.3 | 51.4 | – | – | **29.7** | 34.1 |"]


def test_the_other_parts_are_read_from_what_the_verbs_wrote(results: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "transfers.csv").write_text(
        "row,dataset,top1,sd,seeds,control,margin,status,receipt,scale\n"
        "B-B,outlines,30.80,,1,17.80,13.00,measured,abc,demo\nB-B,textures,55.60,1.25,2,54.40,1.20,measured,abc,demo\n"
        "B-L,outlines,,,,17.80,,not run,,demo\nB-scratch,outlines,17.80,,1,,,measured,abc,demo\n"
    )
    (tmp_path / "teachers.csv").write_text(
        "variant,stages,column,measured,sd,published,published_sd,status,row,receipt,scale\n"
        "random,0,cls,51.40,,,,measured,x,a,demo\nrandom,1,cls,73.60,,,,measured,x,a,demo\nlite,1,cls,63.40,,,,measured,x,a,demo\n"
        "all variants,0,cls,,,,,,,,demo\nall variants,1,cls,68.50,7.21,,,,,,demo\n"
    )
    assert results["transfers"](tmp_path).splitlines() == [
        "| row | outlines | margin | textures | margin |",
        "|---|---:|---:|---:|---:|",
        "| B-B | 30.8 | +13.0 | 55.6 ± 1.2 | +1.2 |",
    ]
    assert results["teachers"](tmp_path).splitlines()[2:] == [
        "| random | 51.4 | 73.6 |",
        "| lite | – | 63.4 |",
        "| standard deviation over teachers | – | 7.2 |",
    ]
    assert results["probes"](tmp_path) == "Not measured with the recipes of today."


def test_executions_are_summed_up_by_kind(results: dict[str, Any], tmp_path: Path) -> None:
    built, measured = tmp_path / "results", tmp_path / "measured"
    measured.mkdir()
    for source in results["COPIED"].values():
        (built / source).parent.mkdir(parents=True, exist_ok=True)
        (built / source).write_text("row,cls_seeds\nB-B,3\n")
    attempt = {
        "started": "2026-11-30T22:50:04+00:00",
        "cpu_seconds": 40.5,
        "peak_mb": 812.7,
        "hardware": {"processor": "AMD EPYC", "cores": 2},
    }
    for name, seconds in (("a", 40.0), ("b", 20.0)):
        path = built / "distill" / "B-B" / name / "executions" / "1.json"
        path.parent.mkdir(parents=True)
        told = {"command": ["dbot", "distill"], "commit": "8c811419a670", "ended": "2026-12-01T00:01:00+00:00"}
        path.write_text(json.dumps({**told, "attempts": [{**attempt, "cpu_seconds": seconds}]}))
    results["take"](built, measured)
    assert results["jobs"](measured).splitlines()[2:] == ["| distill | 2 | 60 | 40 | 813 |"]
    assert results["conditions"](measured) == (
        "2 cores of an AMD EPYC, 2026-11-30 to 2026-12-01, commit 8c81141: 2 jobs, 1 minutes of CPU time, "
        "mean of 3 seeds ± standard deviation."
    )


def test_a_page_without_markers_is_refused(results: dict[str, Any]) -> None:
    with pytest.raises(SystemExit, match="lacks markers"):
        results["filled"]("# A page")
    with pytest.raises(SystemExit, match="lacks the marker"):
        results["filled"](results["begin"]("Margins"))


def anchors(page: Path) -> set[str]:
    """Names of a page's headings, as GitHub and the site make them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_no_link_is_dead(page: Path) -> None:
    for target, part in LINK.findall(page.read_text()):
        path = (page.parent / target).resolve() if target else page
        if target in MADE or (path.parent.name == "reference" and f"reference/{path.name}" in MADE):
            continue
        assert path.exists(), f"{page.name} links to {target}"
        if part and path.suffix == ".md":
            assert part in anchors(path), f"{page.name} links to {target}#{part}"


def test_every_page_is_in_the_navigation() -> None:
    def pages(entry: Any) -> set[str]:
        if isinstance(entry, str):
            return {entry}
        return set().union(*map(pages, entry.values() if isinstance(entry, dict) else entry))

    navigation = pages(yaml.safe_load((PROJECT / "mkdocs.yml").read_text())["nav"])
    assert navigation == {page.relative_to(PROJECT / "docs").as_posix() for page in PAGES} | MADE


def test_the_reference_has_every_verb_and_flag(reference: dict[str, Any]) -> None:
    page = reference["verbs"]()
    for verb in [verb for group in cli.groups().values() for verb in group]:
        assert f"### dbot {verb}\n" in page
        for action in cli.parser(verb)._actions:
            assert all(f"`{flag}`" in page for flag in action.option_strings if flag not in SHARED)


def test_the_reference_has_every_key(reference: dict[str, Any]) -> None:
    page = reference["parameters"]()
    assert "| `mask_ratio` | Share of patches that the student does not see. | number | more than 0 and less than 1 | *stated* |" in page
    assert "a job that is cut goes on where it was. | whole number or null, in minutes | more than 0 | `null` |" in page
    assert all(f"| `{name}` |" in page for name in Params.model_fields)
    heads = {head.lower().replace(" ", "-") for head in re.findall(r"^## (.+)$", page, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]*)\)", page)) <= heads
