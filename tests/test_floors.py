"""The house has floors: imports run downhill, none goes round in a circle, and the ground floor stands on Python alone."""

import ast
import graphlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import PROJECT

FLOORS = (
    "base",
    "params",
    "data",
    "models",
    "train",
    "distill",
    "measure",
    "pictures",
    "tasks",
    "flops",
    "memory",
    "jobs",
    "plan",
    "lineage",
    "versioning",
    "tracking",
    "cluster",
    "forecast",
    "report",
    "publish",
    "commands",
    "cli",
    "__main__",
)
"""From the ground up. A module may import from its own floor and from those before it; all may import `dbot` itself, its version."""


@dataclass(frozen=True)
class Import:
    """One module of dbot named by another."""

    file: Path
    line: int
    module: str
    imported: str


def modules(source: Path) -> dict[str, Path]:
    """By dotted name, the files of the package dbot below a folder."""
    found = {}
    for file in sorted((source / "dbot").rglob("*.py")):
        name = ".".join(file.relative_to(source).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = file
    return found


def imports(source: Path) -> Iterator[Import]:
    """Every import of dbot by dbot: at the top of a file, in a function, or for types only."""
    known = modules(source)
    for module, file in known.items():
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                origin = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
                named = [below if (below := f"{origin}.{alias.name}") in known else origin for alias in node.names]
            else:
                continue
            for name in named:
                if name in known and name != module:
                    yield Import(file.relative_to(source.parent), node.lineno, module, name)


def floor(module: str) -> str:
    """The part of a module's name that stands in FLOORS; empty for `dbot` itself."""
    return module.partition(".")[2].partition(".")[0]


def uphill(source: Path) -> list[str]:
    """A line for each import that goes up."""
    height = {name: number for number, name in enumerate(("", *FLOORS))}
    return [
        f"{one.file}:{one.line}: {floor(one.module)} imports {one.imported}, and {floor(one.imported)} is a floor above it"
        for one in imports(source)
        if height[floor(one.module)] < height[floor(one.imported)]
    ]


def circle(source: Path) -> list[str]:
    """The modules of a circle, if there is one, each imported by the next; the first is also the last."""
    graph: dict[str, set[str]] = {name: set() for name in modules(source)}
    for one in imports(source):
        graph[one.module].add(one.imported)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_every_room_has_a_floor() -> None:
    rooms = {floor(module) for module in modules(PROJECT / "src")} - {""}
    assert rooms == set(FLOORS), "give each package of src/dbot its place in FLOORS"


def test_imports_run_downhill() -> None:
    assert uphill(PROJECT / "src") == []


def test_no_import_goes_round_in_a_circle() -> None:
    assert circle(PROJECT / "src") == []


def test_the_ground_floor_needs_nothing_but_python() -> None:
    """At import: the seeds fetch torch and NumPy when they are asked for a generator."""
    for module, file in modules(PROJECT / "src").items():
        if floor(module) == "base":
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                named += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
                assert {name.partition(".")[0] for name in named} <= {*sys.stdlib_module_names, "dbot"}, f"{file}:{node.lineno}"


@pytest.mark.parametrize(
    "text",
    [
        "import dbot.report",
        "from dbot import report",
        "from dbot.report.page import render",
        "from ..report import page",
        "def late():\n    from dbot.report import page",
        "if TYPE_CHECKING:\n    import dbot.report.page",
    ],
)
def test_a_way_up_is_found_however_it_is_written(tmp_path: Path, text: str) -> None:
    for name, content in {
        "__init__": "",
        "report/__init__": "",
        "report/page": "",
        "data/__init__": "",
        "data/images": f"\n{text}\n",
    }.items():
        (tmp_path / "src" / "dbot" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / "dbot" / f"{name}.py").write_text(content)
    (found,) = uphill(tmp_path / "src")
    assert found.startswith(f"src/dbot/data/images.py:{2 + text.count(chr(10))}: data imports dbot.report")
    assert found.endswith("report is a floor above it")
    assert circle(tmp_path / "src") == []
    (tmp_path / "src" / "dbot" / "report" / "page.py").write_text("def late():\n    import dbot.data.images\n")
    (tmp_path / "src" / "dbot" / "report" / "__init__.py").write_text("from dbot.report import page\n")
    assert "dbot.data.images" in circle(tmp_path / "src")
