"""What others' validators say of a bundle: the RO-Crate one of its crate, MLCommons' of its descriptions of data."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import rocrate

from dbot.publish.contents import gathered, write
from tests.conftest import PROJECT
from tests.publish.published import ROWS, at, make_project
from tests.services.servers import ENVIRONMENT

CONTEXT = Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld"
PROFILES = ("provenance-run-crate-0.5", "workflow-run-crate-0.5", "process-run-crate-0.5", "workflow-ro-crate-1.0")

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(not (ENVIRONMENT / "bin" / "python").exists(), reason="`make test-services` makes the environment"),
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("services")
    project = make_project(folder / "project")
    with at(project.folder):
        write(gathered(project.plan, ROWS), folder / "bundle", doi="10.5072/zenodo.1")
    return folder / "bundle"


@pytest.mark.parametrize(
    "profile", ["provenance-run-crate-0.5", "workflow-run-crate-0.5", "process-run-crate-0.5", "workflow-ro-crate-1.0"]
)
def test_the_crate_is_valid(bundle: Path, profile: str) -> None:
    done = checked(bundle, profile)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_crate_that_is_not_valid_is_found(bundle: Path, tmp_path: Path) -> None:
    """So that the validator is known to look."""
    shutil.copytree(bundle, tmp_path / "bundle")
    path = tmp_path / "bundle" / "ro-crate-metadata.json"
    document = json.loads(path.read_text())
    document["@graph"] = [{key: value for key, value in entity.items() if key != "step"} for entity in document["@graph"]]
    path.write_text(json.dumps(document))
    done = checked(tmp_path / "bundle", PROFILES[0])
    assert done.returncode == 1
    assert "A HowToStep must be referred to from a ComputationalWorkflow via step" in done.stdout


def checked(bundle: Path, profile: str) -> "subprocess.CompletedProcess[str]":
    program = PROJECT / "tests" / "services" / "checked_crate.py"
    command = [ENVIRONMENT / "bin" / "python", program, CONTEXT, bundle, profile]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def test_the_descriptions_of_data_are_valid_and_give_their_tables(bundle: Path) -> None:
    (path,) = bundle.glob("croissant-*.json")
    program = """
import json, sys
import mlcroissant
dataset = mlcroissant.Dataset(sys.argv[1])
records = [{key: value for key, value in record.items()} for record in dataset.records("images")]
print(json.dumps({"warnings": sorted(dataset.metadata.ctx.issues.warnings), "records": records}, default=lambda value: value.decode()))
"""
    done = subprocess.run(
        [ENVIRONMENT / "bin" / "python", "-c", program, path], capture_output=True, text=True, check=False, timeout=300, cwd=bundle
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["warnings"] == []
    lines = (bundle / "results/demo/prepare/digits/samples.tsv").read_text().splitlines()
    assert len(found["records"]) == len(lines) - 1
    first = dict(zip(lines[0].split("\t"), lines[1].split("\t"), strict=True))
    assert found["records"][0]["images/path"] == first["path"]
    assert found["records"][0]["images/label"] == int(first["label"])
