"""params.yaml and what it includes are one document, and every value knows its file."""

from pathlib import Path

import pytest

from dbot.base.errors import UserError
from dbot.params.document import read_parts
from tests.conftest import PROJECT

TOP = "include: [parts/a.yaml, parts/b.yaml]\nscale: x\nrows: {first: 1}\n"
A = "# of its own\nscales: {x: 1}\nrows:\n  second: 2\n"


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A file that includes two others."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/a.yaml").write_text(A)
    (tmp_path / "parts/b.yaml").write_text("rows: {third: 3}\n")
    (tmp_path / "top.yaml").write_text(TOP)
    return tmp_path / "top.yaml"


def problems(file: Path) -> list[str]:
    with pytest.raises(UserError) as caught:
        read_parts(file)
    return [line.replace(f"{file.parent}/", "") for line in caught.value.problems]


def test_files_share_a_section(top: Path) -> None:
    found = read_parts(top)
    assert found.data["rows"] == {"first": 1, "second": 2, "third": 3}
    assert list(found.data["rows"]) == ["first", "second", "third"], "in the order of the files"
    assert found.data["scales"] == {"x": 1}
    places = {path: origin.place.removeprefix(f"{top.parent}/") for path, origin in found.origins.items()}
    assert places["rows", "first"] == "top.yaml:3"
    assert places["rows", "second"] == "parts/a.yaml:4"
    assert places["rows", "third"] == "parts/b.yaml:1"
    assert places["scales", "x"] == "parts/a.yaml:2"


def test_files_are_found_beside_the_one_that_includes_them(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(top.parent / "parts")
    assert read_parts(Path("../top.yaml")).origins["rows", "third"].place == "../parts/b.yaml:1"


def test_what_two_files_give_is_named_with_both_places(top: Path) -> None:
    (top.parent / "parts/b.yaml").write_text("scale: y\nrows:\n  first: 3\n  second: 3\n")
    assert problems(top) == [
        "parts/b.yaml:1: scale is given at top.yaml:2 too; keep one of them",
        "parts/b.yaml:3: rows.first is given at top.yaml:3 too; keep one of them",
        "parts/b.yaml:4: rows.second is given at parts/a.yaml:4 too; keep one of them",
    ]


def test_a_file_that_is_not_there_is_named_with_what_to_do(top: Path) -> None:
    (top.parent / "parts/a.yaml").unlink()
    (said,) = problems(top)
    assert said.startswith("top.yaml:1: there is no file parts/a.yaml, which top.yaml includes: copy it from the project, or")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("include: parts/a.yaml\n", "top.yaml:1: include is 'parts/a.yaml': must be a list of files, relative to top.yaml"),
        ("include: [1]\n", "top.yaml:1: include is [1]: must be a list of files, relative to top.yaml"),
        ("include:\n", "top.yaml:1: include is null: must be a list of files, relative to top.yaml"),
        (
            "include:\n  - parts/a.yaml\n  - parts/a.yaml\n",
            "top.yaml:3: include.1 is 'parts/a.yaml': stands there twice; name it once",
        ),
        ("include: [top.yaml]\n", "top.yaml:1: a file that is included can't include others; name them where this one is named"),
    ],
)
def test_what_can_t_be_included_is_one_line(top: Path, text: str, said: str) -> None:
    top.write_text(text)
    assert problems(top) == [said]


def test_mistakes_in_an_included_file_name_it(top: Path) -> None:
    (top.parent / "parts/b.yaml").write_text("rows:\n  third: 3\n  third: 4\n")
    assert problems(top) == ["parts/b.yaml:3: rows.third is given twice; keep one of them"]


def test_each_file_of_the_project_is_read_in_one_sitting() -> None:
    for file in (PROJECT / "params.yaml", *(PROJECT / "params").iterdir()):
        assert len(file.read_text().splitlines()) < 450, file.name
    assert {f"params/{file.name}" for file in (PROJECT / "params").iterdir()} == set(read_parts(PROJECT / "params.yaml").data["include"])
