"""A lineage as PROV-JSON, RO-Crate and Mermaid: whole, without loose ends, with the digests of the files that lie there."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from dbot.base.digest import file_digest
from dbot.cli import main
from tests.fakes import FakeProject

RELATIONS = {
    "used": ("activity", "entity"),
    "wasGeneratedBy": ("entity", "activity"),
    "wasDerivedFrom": ("generatedEntity", "usedEntity"),
    "wasAssociatedWith": ("activity", "agent"),
    "wasAttributedTo": ("entity", "agent"),
}
"""By relation of PROV-DM, the ends that it must have."""
KIND = {"entity": "entity", "generatedEntity": "entity", "usedEntity": "entity", "plan": "entity", "activity": "activity", "agent": "agent"}
"""By end, what it must be."""


@pytest.fixture
def measured(kept: FakeProject) -> FakeProject:
    """Two rows that share their data, in git; one of their receipts is not committed."""
    subprocess.run(["git", "add", "params.yaml"], check=True)
    subprocess.run(["git", "commit", "-qm", "parameters"], check=True)
    for row in ("B-B", "H448-H"):
        kept.run_chain(kept.plan.evaluate(row, "cls", "0"))
    subprocess.run(["git", "add", "results/demo/distill"], check=True)
    subprocess.run(["git", "commit", "-qm", "students", "--author", "another person <other@example.org>"], check=True)
    return kept


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["lineage", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def values(data: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, all the way down."""
    for key, value in data.items() if isinstance(data, dict) else [("", item) for item in data] if isinstance(data, list) else []:
        yield key, value
        yield from values(value)


def several(value: Any) -> list[Any]:
    """The values of a property, of which JSON-LD has a single one by itself."""
    return value if isinstance(value, list) else [value]


def test_prov_has_no_loose_ends(measured: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "--format", "prov")
    for kind, ends in RELATIONS.items():
        assert found[kind]
        for name, relation in found[kind].items():
            assert name.startswith("_:")
            assert {f"prov:{end}" for end in ends} <= relation.keys()
            for end, target in relation.items():
                if (what := KIND.get(end.removeprefix("prov:"))) is not None:
                    assert target in found[what], f"{kind}: {target} is nowhere"
    known = {"prov", "xsd", *found["prefix"]}
    names = [name for kind in ("entity", "activity", "agent") for name in found[kind]]
    attributes = [key for kind, records in found.items() if kind != "prefix" for record in records.values() for key in record]
    types = [value for key, value in values(found) if key == "$"]
    assert all(name.partition(":")[0] in known for name in [*names, *attributes, *types])
    assert set(found) <= {"prefix", "entity", "activity", "agent", *RELATIONS}


def test_prov_says_what_the_receipts_say(measured: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "--format", "prov")
    receipts = {str(job.receipt) for job in measured.plan.jobs() if job.receipt.exists()}
    assert {entity["prov:location"] for entity in found["entity"].values() if entity["prov:type"]["$"] == "dbot:Receipt"} == receipts
    located = [entity for entity in found["entity"].values() if "prov:location" in entity]
    assert len(located) > 2 * len(receipts)
    assert all(entity["dbot:sha256"] == file_digest(Path(entity["prov:location"])) for entity in located)
    generated = [relation["prov:entity"] for relation in found["wasGeneratedBy"].values()]
    assert len(generated) == len(set(generated)) == len(located), "each was generated once"
    assert len(found["activity"]) == len(receipts)
    assert all(activity["prov:startTime"] <= activity["prov:endTime"] for activity in found["activity"].values())
    licences = {entity["dbot:licence"] for entity in found["entity"].values() if "dbot:licence" in entity}
    assert any("CC BY 4.0" in licence for licence in licences)
    software = [agent for agent in found["agent"].values() if agent["prov:type"]["$"] == "prov:SoftwareAgent"]
    assert all({"dbot:code", "dbot:version.torch", "dbot:version.python"} <= agent.keys() for agent in software)


def test_people_are_those_that_git_names(measured: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    """Who wrote the commit, and who committed a receipt; nobody for one that is not committed as it is, and no address."""
    text = json.dumps(said(capsys, "B-B", "--format", "prov"))
    found = json.loads(text)
    by = {relation["prov:entity"]: unquote(relation["prov:agent"]) for relation in found["wasAttributedTo"].values()}
    receipts = {entity["prov:location"]: by.get(name) for name, entity in found["entity"].items() if name.startswith("receipt:")}
    assert receipts.pop("results/demo/distill/B-B/stage1/receipt.json") == "person:another person"
    assert receipts.pop("results/demo/distill/B-B/stage2/receipt.json") == "person:another person"
    assert set(receipts.values()) == {None}
    assert {who for entity, who in by.items() if entity.startswith("commit:")} == {"person:a person"}
    assert "example.org" not in text


def test_a_crate_has_what_its_profile_asks_for(measured: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "--format", "ro-crate")
    graph = {entity["@id"]: entity for entity in found["@graph"]}
    assert len(graph) == len(found["@graph"]), "each is described once"
    descriptor, root = graph["ro-crate-metadata.json"], graph["./"]
    assert descriptor["about"] == {"@id": "./"}
    assert descriptor["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    assert {"name", "description", "datePublished", "license"} <= root.keys()
    assert graph[root["conformsTo"]["@id"]]["@id"] == "https://w3id.org/ro/wfrun/process/0.5"
    assert {value for key, value in values(found["@graph"]) if key == "@id"} == graph.keys() | {"https://w3id.org/ro/crate/1.1"}
    assert {ref["@id"] for ref in root["author"]} == {"#person-a%20person", "#person-another%20person"}
    actions = [entity for entity in graph.values() if entity["@type"] == "CreateAction"]
    assert {ref["@id"] for ref in root["mentions"]} == {action["@id"] for action in actions}
    for action in actions:
        assert {"name", "description", "startTime", "endTime", "instrument", "object", "result"} <= action.keys()
        assert graph[action["instrument"]["@id"]]["@type"] == "SoftwareApplication"
        assert action["actionStatus"] == "http://schema.org/CompletedActionStatus"
        assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", action["@id"])
    for entity in graph.values():
        assert None not in entity.values()
        assert not any(isinstance(value, list) and len(value) < 2 for value in entity.values()), "one value stands by itself"
        if entity["@type"] == "SoftwareApplication":
            assert re.match("(https|urn):", entity["@id"])
            assert entity["url"].startswith("https://")


def test_a_crates_files_lie_there(measured: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "--format", "ro-crate")
    graph = {entity["@id"]: entity for entity in found["@graph"]}
    files = {name: entity for name, entity in graph.items() if entity["@type"] == "File"}
    for name, entity in files.items():
        path = Path(unquote(name))
        assert (entity["sha256"], entity["contentSize"]) == (file_digest(path), str(path.stat().st_size))
    assert {ref["@id"] for ref in graph["./"]["hasPart"]} == {*files, "data/digits/"}
    assert "CC BY 4.0" in graph[graph["data/digits/"]["license"]["@id"]]["name"]
    inputs = {ref["@id"] for entity in graph.values() if entity["@type"] == "CreateAction" for ref in several(entity["object"])}
    made = {ref["@id"] for entity in graph.values() if entity["@type"] == "CreateAction" for ref in several(entity["result"])}
    assert {name for name in inputs if name in files} <= made, "what one action read another had made"


def test_a_chart_has_every_job_and_its_inputs(measured: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lineage", "H448-H", "--format", "mermaid"]) == 0
    lines = capsys.readouterr().out.splitlines()
    plan = measured.plan
    jobs = plan.jobs([plan.evaluate("H448-H", "cls", "0")])
    assert lines[0] == "flowchart LR"
    boxes = dict(re.findall(r'^  (\w+)[\[(]+"([^"]*)"', "\n".join(lines), re.MULTILINE))
    assert {text.split("<br/>")[0] for name, text in boxes.items() if name.startswith("job")} == {job.name for job in jobs}
    arrows = re.findall(r"^  (\w+) -->(?:\|(\w+)\|)? (\w+)$", "\n".join(lines), re.MULTILINE)
    assert {name for start, _, end in arrows for name in (start, end)} == boxes.keys()
    assert len([role for _, role, _ in arrows if role]) == sum(len(job.inputs) for job in jobs)
