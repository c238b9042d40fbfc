"""Two people build different rows in clones of their own, and put them together: git and DVC, without help, and no job runs again.

Their folders, and that of the data, have names that not every program likes.
"""

import csv
import json
from pathlib import Path

import pytest

from tests.e2e.project import Copy
from tests.e2e.test_demo import planned

ROWS = {"Ada Žluťoučká": "B-B", "Bob 数据 & Söhne": "L-L"}
"""Who builds what."""
DATA = "data/čísla 数字"
FEW = {
    "build": {"rows": [*ROWS.values()]},
    "datasets": {"digits": {"root": DATA, "embedded": {"train": 48, "validation": 20}}},
    "recipes": {"pretrain": {"asymmetric": {"epochs": 2}}, "finetune": {"asymmetric": {"epochs": 2}, "asymmetric-L": {"epochs": 2}}},
    "execution": {"mlflow": False},
}


@pytest.fixture
def two(tmp_path: Path) -> tuple[Copy, Copy]:
    """Their clones of one repository, with one remote of DVC's."""
    first = Copy.made(tmp_path / "first")
    first.change(FEW)
    first.run("dvc", "remote", "add", "--quiet", "-d", "store", str(tmp_path / "the store"))
    first.git("commit", "-qam", "a smaller project")
    first.run("git", "clone", "-q", "--bare", ".", str(tmp_path / "origin.git"))
    people = [Copy(tmp_path / name) for name in ROWS]
    for person in people:
        first.run("git", "clone", "-q", str(tmp_path / "origin.git"), str(person.folder))
        for key, value in (("name", person.folder.name), ("email", "a@example.org"), ("pull.rebase", "false")):
            person.run("git", "config", key if "." in key else f"user.{key}", value)
    return people[0], people[1]


def commits(person: Copy, message: str) -> None:
    assert "nothing: DVC has" in person.run("dbot", "record").stdout, "the workflow has handed over everything"
    person.run("git", "add", ".")
    person.run("git", "commit", "-qm", message)


def shares(person: Copy, message: str) -> None:
    commits(person, message)
    person.run("dvc", "push")
    person.run("git", "push", "-q")


def takes(person: Copy) -> None:
    person.run("git", "pull", "-q")
    person.run("dvc", "pull")


def measured(person: Copy) -> set[str]:
    with (person.folder / "results/demo/table.csv").open(encoding="utf-8") as stream:
        return {row["row"] for row in csv.DictReader(stream) if row["cls_measured"] and row["row"] in ROWS.values()}


def states(person: Copy) -> set[str]:
    said = json.loads(person.run("dbot", "status", "--format", "json").stdout)
    return {result["state"] for result in said["results"]}


@pytest.mark.slow
def test_rows_of_two_people_come_together_and_nothing_runs_again(two: tuple[Copy, Copy]) -> None:
    ada, bob = two
    targets = [f"row_{row}" for row in ROWS.values()]
    for person, row in zip(two, ROWS.values(), strict=True):
        person.run("workflow/run", "--cores", "2", f"row_{row}")
        person.run("dbot", "table")
        assert measured(person) == {row}
    shares(ada, "row B-B")
    commits(bob, "row L-L")
    takes(bob)

    before = {path: path.read_bytes() for path in (bob.folder / "results").rglob("receipt.json")}
    assert {path.parts[-3] for path in before} >= {*ROWS.values()}
    assert planned(bob, *targets) == set()
    assert planned(bob) == {"all", "table", "report"}
    bob.run("workflow/run", "--cores", "2")
    assert {path: path.read_bytes() for path in (bob.folder / "results").rglob("receipt.json")} == before, "no job ran again"
    assert measured(bob) == {*ROWS.values()}
    assert states(bob) == {"built"}
    assert "match" in bob.run("dbot", "verify").stdout
    shared = bob.folder / "results/demo/prepare/digits/executions"
    assert len(list(shared.iterdir())) == len(ROWS), "both did it, and it is one result"
    assert "Data and pipelines are up to date." in bob.run("dvc", "status").stdout

    bob.run("dvc", "push")
    bob.run("git", "push", "-q")  # there was nothing to resolve, and nothing new to commit
    takes(ada)
    assert planned(ada, *targets) == set()
    assert states(ada) == {"built"}
    assert "match" in ada.run("dbot", "verify").stdout
    ada.run("dbot", "table")
    assert measured(ada) == {*ROWS.values()}
    for form in ("prov", "ro-crate"):
        assert json.loads(ada.run("dbot", "lineage", "--format", form).stdout)
