"""The kinds of job: one module each, known by nothing else, and light to declare."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbot.jobs.distill import DISTILL
from dbot.jobs.kind import Kind, Measurement, Preparation, Training, kinds
from dbot.params.load import load
from dbot.params.rows import COLUMNS
from dbot.plan import Plan
from tests.conftest import PROJECT

SOURCE = PROJECT / "src" / "dbot"
COMMON = PROJECT / "workflow" / "rules" / "common.smk"


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan(load(PROJECT / "params.yaml", "demo"))


@pytest.mark.parametrize("kind", kinds().values(), ids=str)
class TestKind:
    def test_has_a_module_and_a_rule_of_its_name(self, kind: Kind) -> None:
        assert type(kind).__module__ == f"dbot.jobs.{kind.name}"
        rules = "".join(file.read_text() for file in COMMON.parent.glob("*.smk"))
        assert re.search(rf"^rule {kind.name}:$", rules, re.MULTILINE)

    def test_prepares_trains_or_measures(self, kind: Kind) -> None:
        assert isinstance(kind, Preparation | Training | Measurement)
        assert kind.trains == isinstance(kind, Training)
        assert kind.measures == isinstance(kind, Measurement)
        assert kind.kept or not kind.trains, "what took long is kept"

    def test_says_what_it_is(self, kind: Kind) -> None:
        assert kind.title
        assert kind.description.endswith(".")

    def test_declares_what_its_jobs_have(self, kind: Kind, plan: Plan) -> None:
        rows, fetched = plan.params.table_rows, [plan.job("fetch", name) for name in plan.params.released.files]
        cells = [*plan.cells(rows, list(COLUMNS)), *plan.transfers(rows), *plan.shifts(rows)]
        found = plan.jobs([*fetched, *cells, *plan.probes(rows), *plan.adaptations(rows), *plan.analyses(rows), *plan.comparisons(rows)])
        jobs = [job for job in found if job.kind is kind]
        assert jobs
        for job in jobs:
            assert list(job.key) == [key.name for key in kind.key]
            assert list(job.inputs) == [each.role for each in kind.inputs if each.role in job.inputs]
            assert plan.job(kind, **job.key) == job == plan.job(kind.name, *job.key.values())
            assert (kind.start or job.artifacts[0]) in job.artifacts
            model = kind.model(job, plan.params)
            assert (model is not None) == kind.kept
            assert model is None or model.file in job.artifacts


def test_a_kind_reads_only_those_listed_before_it(plan: Plan) -> None:
    listed = list(kinds())
    for job in plan.jobs(plan.targets()):
        for needed in job.inputs.values():
            if needed.kind is not job.kind:
                assert listed.index(needed.verb) < listed.index(job.verb)


def test_the_plan_makes_jobs_by_the_name_of_their_kind(plan: Plan) -> None:
    assert plan.distill("B-B", 1) == plan.job(DISTILL, "B-B", 1) == plan.job("distill", row="B-B", stage="1")
    with pytest.raises(AttributeError, match="there is no kind of job of that name"):
        plan.distil("B-B", 1)


def test_declaring_jobs_loads_no_heavy_library() -> None:
    program = (
        "import sys; from dbot.jobs.kind import kinds; from dbot.params.load import load; from dbot.plan import Plan;"
        "assert kinds(); Plan(load(scale='paper')).jobs();"
        "print(*{'torch', 'torchvision', 'timm', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


# ------------------------------------------------------------------- nothing else knows their names


def allowed(file: Path) -> bool:
    """Files that may name kinds, as sections of recipes or because they are being rewritten."""
    folders = {"params"}  # the sections of recipes are called like kinds
    folders |= {"record"}  # until record is merged
    return file.is_relative_to(SOURCE) and file.relative_to(SOURCE).parts[0] in folders


def literals(file: Path) -> Iterator[tuple[int, str]]:
    """Line and value of every text in a program; of Snakemake's language the tokens are Python's."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.lineno, node.value
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.STRING and token.string[0] in "'\"":
            yield token.start[0], ast.literal_eval(token.string)


def test_no_kind_is_named_outside_its_module() -> None:
    found = [
        f"{file.relative_to(PROJECT)}:{line}: {value!r}"
        for file in (*SOURCE.rglob("*.py"), COMMON)
        if not allowed(file)
        for line, value in literals(file)
        if value in kinds() and file != SOURCE / "jobs" / f"{value}.py"
    ]
    assert found == [], "refer to the kind, as in dbot.jobs.evaluate.EVALUATE, or to what it declares"
