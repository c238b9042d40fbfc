"""Every line of Snakemake in the documents means what it says: Snakemake's own parser finds the targets and the scale in it."""

import re
import shlex

import pytest
from snakemake.cli import get_argument_parser

from dbot.forecast.work import targets
from dbot.params.load import load
from dbot.plan import Plan
from tests.workflow.conftest import PROJECT

DOCUMENTS = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", PROJECT / "Makefile", *sorted((PROJECT / "docs").glob("*.md"))]
LINE = re.compile(r"""(?:^|[`"\s/])(?:snakemake|workflow/run) ([^`"#&|\n]+)""", re.MULTILINE)
"""`workflow/run` hands its words on to Snakemake."""
EXAMPLES = [(file.name, words.strip().replace("$(SCALE)", "demo")) for file in DOCUMENTS for words in LINE.findall(file.read_text())]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 20
    assert ("README.md", "--cores all row_B-B") in EXAMPLES


@pytest.mark.parametrize(("file", "words"), EXAMPLES)
def test_an_example_is_read_as_it_is_meant(file: str, words: str) -> None:
    known = {*targets(Plan(load(PROJECT / "params.yaml", "demo"))), "report", "calibrate"} - {"all"}  # which is also how many cores
    read = get_argument_parser().parse_args(shlex.split(words))
    named = {word for word in shlex.split(words) if word in known or word.endswith("_NAME")}
    assert set(read.targets) == named, f"{file}: put `--` before the targets"
    assert all(pair.startswith("scale=") for pair in read.config or ()), f"{file}: --config takes every word up to the next option"
