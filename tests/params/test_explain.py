"""What `dbot params KEY` knows: the typed models' words, and the value of every scale with its line."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from dbot.base.errors import UserError
from dbot.params.document import Params
from dbot.params.explain import Explained, explain
from dbot.params.load import TAGS
from dbot.params.section import Section
from tests.conftest import PROJECT

FILE = PROJECT / "params.yaml"
SCALES = ("paper", "released", "released-demo", "demo", "demo-seeds", "single-gpu")


def test_a_number_has_its_limits_meaning_and_places() -> None:
    found = explain(FILE, "recipes.pretrain.asymmetric-B.mask_ratio")
    assert (found.meaning.type, found.meaning.allowed) == ("number", "more than 0 and less than 1")
    assert found.meaning.text == "Share of patches that the student does not see."
    assert found.meaning.default is None, "it has to be stated"
    assert [each.value for each in found.values] == [0.75] * len(SCALES)
    (origin,) = {each.origin for each in found.values}
    assert origin is not None
    assert "mask_ratio: 0.75" in FILE.read_text().splitlines()[origin.line - 1]


def test_a_value_that_a_scale_overrides_is_told_with_that_scale_s_file() -> None:
    found = {each.scale: each for each in explain(FILE, "recipes.pretrain.asymmetric-B.precision").values}
    assert (found["paper"].value, found["demo"].value) == ("bf16", "fp32")
    assert found["demo"].origin is not None
    assert found["demo"].origin.file.name == "demo.yaml"


@pytest.mark.parametrize(
    ("key", "type_", "allowed", "default"),
    [
        ("recipes.pretrain.asymmetric.precision", "text", "one of bf16, fp16, fp32", None),
        ("recipes.pretrain.asymmetric.shortcuts", "true or false", "", "true"),
        ("recipes.pretrain.asymmetric.optimizer.betas", "list of number", "2 entries; each at least 0 and less than 1", None),
        ("rows.B-B.stages.det", "whole number or null", "more than 0", "null"),
        ("rows.B-B.columns_from", "names, each with text", "", "{}"),
        ("build.columns", "list of text", "each one of cls, det, seg", None),
    ],
)
def test_types_are_in_words(key: str, type_: str, allowed: str, default: str | None) -> None:
    meaning = explain(FILE, key).meaning
    assert (meaning.type, meaning.allowed, meaning.default) == (type_, allowed, default)


def test_a_unit_is_what_the_name_says() -> None:
    found: Explained = explain(FILE, "resources.distill.any.minutes")
    assert found.unit == "minutes"
    assert explain(FILE, "recipes.pretrain.asymmetric.mask_ratio").unit == ""


def test_a_section_tells_its_keys() -> None:
    meaning = explain(FILE, "rows.B-B").meaning
    assert meaning.type == "mapping"
    assert meaning.keys["architecture"] == "Name of the student's architecture."
    assert meaning.text.startswith("A row of the table.")


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("mask_ratio", "recipes.pretrain.asymmetric-B.mask_ratio"),
        ("recipes.pretrain.asymmetric.mask_ration", "recipes.pretrain.asymmetric.mask_ratio"),
        ("rows.B-B.stage", "rows.B-B.stages"),
    ],
)
def test_a_wrong_key_is_answered_with_those_that_are_near(typed: str, near: str) -> None:
    with pytest.raises(UserError) as error:
        explain(FILE, typed)
    (line,) = error.value.problems
    assert f"{typed} is not a key; near are: " in line
    assert near in line


def test_a_key_that_is_like_no_other_is_a_line_too() -> None:
    with pytest.raises(UserError, match="zzz is not a key; `dbot params` prints all"):
        explain(Path(FILE), "zzz")


def sections(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in model.__subclasses__():
        yield each
        yield from sections(each)


def test_every_key_has_a_meaning() -> None:
    """`dbot params KEY` and the reference have nothing else to say. What tells the kinds of a union apart needs none."""
    silent = [(s.__name__, n) for s in (Params, *sections(Section)) for n, f in s.model_fields.items() if not f.description]
    assert not [f"{section}.{name}" for section, name in silent if name not in TAGS]
