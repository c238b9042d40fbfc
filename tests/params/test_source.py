"""YAML that knows its lines, and merging that doesn't forget them."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dbot.base.errors import UserError
from dbot.params.source import Origin, Tree, merge, read_yaml, shown

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["a", "b", "1", "yes"])
MAPPINGS = st.recursive(
    st.dictionaries(st.sampled_from("abcd"), SCALARS | st.lists(SCALARS, max_size=2), max_size=3),
    lambda below: st.dictionaries(st.sampled_from("abcd"), SCALARS | below, max_size=3),
    max_leaves=8,
)


def tree(data: Any, name: str = "file") -> Tree:
    """A tree whose every value says that it came from ``name``."""
    origins = {}

    def visit(value: Any, path: tuple[str | int, ...]) -> None:
        origins[path] = Origin(f"{name}:{'.'.join(map(str, path))}", Path(name), 1)
        for key, below in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
            visit(below, (*path, key))

    visit(data, ())
    return Tree(data, origins)


def leaves(data: Any, path: tuple[str | int, ...] = ()) -> dict[tuple[str | int, ...], Any]:
    if isinstance(data, dict) and data:
        return {p: v for key, below in data.items() for p, v in leaves(below, (*path, key)).items()}
    return {path: data}


def write(folder: Path, text: str) -> Path:
    file = folder / "some.yaml"
    file.write_text(text, encoding="utf-8")
    return file


@given(data=MAPPINGS)
def test_reads_what_yaml_wrote(data: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    file = write(tmp_path_factory.mktemp("yaml"), yaml.safe_dump(data))
    read = read_yaml(file)
    assert read.data == data
    assert set(leaves(data)) <= set(read.origins)


def test_every_value_knows_its_line(tmp_path: Path) -> None:
    read = read_yaml(write(tmp_path, "a: 1\nb:\n  c: [5,\n    6]\n  d: {e: 7}\n"))
    assert {p: o.line for p, o in read.origins.items() if p} == {
        ("a",): 1, ("b",): 2, ("b", "c"): 3, ("b", "c", 0): 3, ("b", "c", 1): 4, ("b", "d"): 5, ("b", "d", "e"): 5,
    }  # fmt: skip
    assert read.origins["b", "d", "e"].key == "b.d.e"
    assert read.origins["b", "d", "e"].place == f"{tmp_path}/some.yaml:5"


@pytest.mark.parametrize(("text", "value"), [("1e-6", 1e-6), ("1.5e-4", 1.5e-4), ("-2E3", -2000.0), ("1e6x", "1e6x"), ("'1e-6'", "1e-6")])
def test_exponents_are_numbers(tmp_path: Path, text: str, value: float | str) -> None:
    assert read_yaml(write(tmp_path, f"a: {text}")).data == {"a": value}


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10))
"""Ten lines of three and a half thousand million values."""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a:\n  b: 1\n  c: 2\n  b: 3\n", ":4: a.b is given twice"),
        ("a: [1\nb: 2\n", ":2: "),
        ("a: 1\n\tb: 2\n", ":2: "),
        ("a: *nowhere\n", ":1: found undefined alias 'nowhere'"),
        ("- a\n- b\n", ": must be a mapping of sections"),
        ("", ": must be a mapping of sections"),
        ("a: \x00\n", ":1: "),
        ("a: &x [*x]\n", ": is nested too deeply"),
        ("a: &x {b: *x}\n", ": is nested too deeply"),
        (f"a: {'[' * 100_000}{']' * 100_000}\n", ": is nested too deeply"),
        (f"a:\n  {'- ' * 100_000}1\n", ": is nested too deeply"),
        (LAUGHS, ":1: the file holds more than 100,000 values; do its aliases (*) multiply"),
        ("a: 1\nb: 2001-13-45\n", ":2: month must be in 1..12; put it in quotes"),
        ("a: 0b_\n", ":1: invalid literal"),
        (f"a: {'1' * 5000}\n", ":1: Exceeds the limit"),
        ("a: =\n", ":1: could not determine a constructor"),
        ("a: 1\n---\nb: 2\n", ":2: but found another document"),
    ],
)
def test_broken_yaml_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(UserError) as caught:
        read_yaml(file)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{file}{said}")
    assert "\n" not in problem


def test_what_editors_of_other_systems_add_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: 1\r\nb:\r\n  c: x\r\n")
    assert read_yaml(tmp_path / "a.yaml").data == {"a": 1, "b": {"c": "x"}}


def test_unreadable_files_are_one_line(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: \xe9\n")
    for file in (tmp_path / "missing.yaml", tmp_path, latin):
        with pytest.raises(UserError, match=r"cannot be read \((No such file or directory|Is a directory|it is not UTF-8)\)"):
            read_yaml(file)


def test_tags_never_run_anything(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    read = read_yaml(write(tmp_path, f"a: !!python/object/apply:os.mkdir ['{flag}']\n"))
    assert not flag.exists()
    assert read.data == {"a": [str(flag)]}


@given(data=MAPPINGS)
def test_merging_nothing_changes_nothing(data: dict[str, Any]) -> None:
    merged = merge(tree(data), tree({}))
    assert merged.data == data
    assert dict(merged.origins) == dict(tree(data).origins)


@given(base=MAPPINGS, over=MAPPINGS)
def test_merging_twice_is_merging_once(base: dict[str, Any], over: dict[str, Any]) -> None:
    once = merge(tree(base, "base"), tree(over, "over"))
    twice = merge(once, tree(over, "over"))
    assert twice.data == once.data
    assert dict(twice.origins) == dict(once.origins)


@given(base=MAPPINGS, over=MAPPINGS)
def test_the_last_one_wins_and_is_named(base: dict[str, Any], over: dict[str, Any]) -> None:
    merged = merge(tree(base, "base"), tree(over, "over"))
    found, given_over = leaves(merged.data), leaves(over)
    for path, value in given_over.items():
        if value != {}:
            assert found[path] == value
    for path in found:
        name, key = merged.origins[path].key.split(":")
        assert key == ".".join(map(str, path)), "a value keeps its own key"
        assert (name == "over") == (path in given_over and given_over[path] != {}) or path == () or found[path] == {}


def test_values_are_shown_as_yaml_has_them() -> None:
    assert [shown(v) for v in (None, True, False, "a", 1.5, [1], {"a": 1})] == ["null", "true", "false", "'a'", "1.5", "[1]", "a mapping"]


def test_another_kind_replaces_the_whole_mapping(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        "base: {teacher: {kind: timm, model: vit}, loss: {kind: l1, beta: 2}}\nover: {teacher: {kind: file, path: x}, loss: {beta: 1}}\n"
    )
    tree = read_yaml(file)
    merged = merge(tree.at("base"), tree.at("over"))
    assert merged.data == {"teacher": {"kind": "file", "path": "x"}, "loss": {"kind": "l1", "beta": 1}}
    assert ("teacher", "model") not in merged.origins
