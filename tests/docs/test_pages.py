"""The documents hang together: the table is that of its file, no link is dead, every page can be reached, the reference is whole."""

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
def table() -> dict[str, Any]:
    return runpy.run_path(str(PROGRAMS / "table.py"))


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
def test_the_table_is_that_of_its_file(table: dict[str, Any], page: str) -> None:
    text = (PROJECT / page).read_text()
    assert table["filled"](text, table["markdown"]()) == text, "run `make docs-table`"


def test_the_table_shows_deviations_and_what_there_is_not(table: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    heads = [f"{column}_{what}" for column in ("cls", "det", "seg") for what in ("measured", "sd", "control")]
    path.write_text(f"row,teacher,{','.join(heads)}\nB-B,B,76.24,0.31,51.40,,,,29.70,,34.10\nB-scratch,none,51.4,,,,,,,,\n")
    assert table["markdown"](path).splitlines()[2:] == ["| B-B | B | **76.2** ± 0.3 | 51.4 | – | – | **29.7** | 34.1 |"]


def test_a_page_without_markers_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(SystemExit, match="lacks the markers"):
        table["filled"]("# A page", "| row |")


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
