"""A lineage as PROV-JSON (W3C member submission of 24 April 2013, over the PROV data model).

Executions are activities, receipts and files entities, the code with its packages a software agent.
Identifiers are digests: an entity's holds the id of the receipt that speaks of it.
"""

import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from dbot.base.digest import canonical, data_digest, file_digest
from dbot.lineage.provenance.story import Source, Step, Story

PREFIXES = {
    name: f"urn:dbot:{name}:" for name in ("receipt", "file", "data", "teacher", "released", "settings", "software", "commit", "person")
} | {"dbot": "urn:dbot:", "execution": "urn:uuid:"}

Record = dict[str, Any]


class _Document:
    def __init__(self) -> None:
        self.content: dict[str, dict[str, Any]] = {"prefix": dict(PREFIXES)}
        self._related: set[tuple[str, tuple[tuple[str, str], ...]]] = set()

    def add(self, kind: str, name: str, attributes: Mapping[str, Any]) -> str:
        """An entity, activity or agent, once."""
        self.content.setdefault(kind, {}).setdefault(name, {key: value for key, value in attributes.items() if value is not None})
        return name

    def relate(self, kind: str, **ends: str | None) -> None:
        """A relation between two or three of them, once."""
        given = tuple((f"prov:{end}", name) for end, name in ends.items() if name is not None)
        if (kind, given) not in self._related:
            self._related.add((kind, given))
            known = self.content.setdefault(kind, {})
            known[f"_:{kind}{len(known) + 1}"] = dict(given)


def prov(story: Story) -> dict[str, Any]:
    """The document."""
    document = _Document()
    for source in story.sources.values():
        document.add("entity", _source(source), _about_source(source))
    for step in story.steps.values():
        _step(document, story, step)
    return document.content


def _step(document: _Document, story: Story, step: Step) -> None:
    receipt, execution = step.receipt, step.execution
    activity = document.add("activity", f"execution:{uuid.UUID(execution.name)}", _about_execution(step))
    proof = document.add("entity", f"receipt:{step.receipt.id}", _about_receipt(step))
    document.relate("wasGeneratedBy", entity=proof, activity=activity, time=execution.ended)
    for path, (sha256, size) in step.files.items():
        about = {"prov:label": path, "prov:type": _type("File"), "prov:location": path, "dbot:sha256": sha256, "dbot:bytes": size}
        file = document.add("entity", f"file:{step.receipt.id}/{quote(path.rpartition('/')[2])}", about)
        document.relate("wasGeneratedBy", entity=file, activity=activity)
    for role, needed in receipt.inputs.items():
        document.relate("used", activity=activity, entity=f"receipt:{needed.id}", role=role)
        document.relate("wasDerivedFrom", generatedEntity=proof, usedEntity=f"receipt:{needed.id}", activity=activity)
    for key in step.used:
        document.relate("used", activity=activity, entity=_source(story.sources[key]))
    plan = document.add(
        "entity",
        f"settings:{data_digest(receipt.settings)}",
        {"prov:type": {"$": "prov:Plan", "type": "prov:QUALIFIED_NAME"}, "prov:value": canonical(receipt.settings).decode()},
    )
    document.relate("wasAssociatedWith", activity=activity, agent=_software(document, step), plan=plan)
    if execution.commit is not None:
        commit = document.add("entity", f"commit:{execution.commit}", {"prov:type": _type("Commit")})
        document.relate("used", activity=activity, entity=commit)
        if execution.commit in story.people.authors:
            document.relate("wasAttributedTo", entity=commit, agent=_person(document, story.people.authors[execution.commit]))
    if step.path in story.people.committers:
        document.relate("wasAttributedTo", entity=proof, agent=_person(document, story.people.committers[step.path]))


def _about_execution(step: Step) -> Record:
    receipt, execution = step.receipt, step.execution
    return {
        "prov:label": step.name,
        "prov:type": _type(receipt.verb),
        "prov:startTime": execution.attempts[0].started,
        "prov:endTime": execution.ended,
        "dbot:command": " ".join(execution.command),
        "dbot:device": receipt.device,
        "dbot:processes": receipt.processes,
        "dbot:deviceHours": execution.device_hours,
        "dbot:changes": execution.changes,
        "dbot:attempts": canonical([attempt.model_dump() for attempt in execution.attempts]).decode(),
    }


def _about_receipt(step: Step) -> Record:
    return {
        "prov:label": step.path.as_posix(),
        "prov:type": _type("Receipt"),
        "prov:location": step.path.as_posix(),
        "dbot:sha256": file_digest(step.path),
        "dbot:seal": step.execution.seal,
        **{f"dbot:result.{name}": value for name, value in step.receipt.results.items()},
    }


def _about_source(source: Source) -> Record:
    return {
        "prov:label": source.title,
        "prov:type": _type(source.kind.replace(" ", "")),
        "dbot:licence": source.licence,
        "dbot:origin": source.origin,
        "dbot:sha256": source.sha256,
    }


def _software(document: _Document, step: Step) -> str:
    receipt = step.receipt
    about = {
        "prov:label": f"dbot {receipt.code[:12]}",
        "prov:type": {"$": "prov:SoftwareAgent", "type": "prov:QUALIFIED_NAME"},
        "dbot:code": receipt.code,
        **{f"dbot:version.{name}": version for name, version in receipt.environment.items()},
    }
    return document.add("agent", f"software:{data_digest([receipt.code, receipt.environment])}", about)


def _person(document: _Document, name: str) -> str:
    about = {"prov:label": name, "prov:type": {"$": "prov:Person", "type": "prov:QUALIFIED_NAME"}}
    return document.add("agent", f"person:{quote(name, safe='')}", about)


def _source(source: Source) -> str:
    kind, _, name = source.key.partition("/")
    return f"{kind}:{quote(name, safe='')}"


def _type(name: str) -> Record:
    return {"$": f"dbot:{name}", "type": "prov:QUALIFIED_NAME"}
