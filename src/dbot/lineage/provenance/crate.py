"""A lineage as the metadata file of an RO-Crate 1.1, with the Process Run Crate profile 0.5.

Written into the project's folder as ``ro-crate-metadata.json`` it makes that folder a crate: paths are
relative to it.
"""

import mimetypes
import uuid
from typing import Any
from urllib.parse import quote

from dbot.base.digest import canonical, data_digest, file_digest
from dbot.lineage.provenance.story import Source, Step, Story

CONTEXT = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
CRATE = "https://w3id.org/ro/crate/1.1"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
LICENCE = "https://www.apache.org/licenses/LICENSE-2.0"
PAPER = "https://arxiv.org/abs/2209.03917"
COMPLETED = "http://schema.org/CompletedActionStatus"

Entity = dict[str, Any]
Ref = dict[str, str]


class _Graph:
    def __init__(self) -> None:
        self.entities: dict[str, Entity] = {}

    def add(self, ident: str, kind: str, /, **properties: Any) -> Ref:
        """An entity, once."""
        self.entities.setdefault(ident, {"@id": ident, "@type": kind, **_plain(properties)})
        return {"@id": ident}


def _plain(properties: dict[str, Any]) -> Entity:
    """Without what is None or empty; one value stands by itself, not in a list."""
    given = {key: value for key, value in properties.items() if value not in (None, [])}
    return {key: value[0] if isinstance(value, list) and len(value) == 1 else value for key, value in given.items()}


def crate(story: Story) -> dict[str, Any]:
    """The document."""
    graph = _Graph()
    graph.add("ro-crate-metadata.json", "CreativeWork", conformsTo={"@id": CRATE}, about={"@id": "./"})
    root = graph.entities["./"] = {"@id": "./", "@type": "Dataset"}
    actions = [_action(graph, story, step) for step in story.steps.values()]
    parts = [{"@id": name} for name, entity in graph.entities.items() if _lies_here(name, entity)]
    people = dict.fromkeys([*story.people.authors.values(), *story.people.committers.values()])
    about = {
        "name": f"dbot, scale {story.scale}: {len(story.targets)} results and what they came from",
        "description": "Masked autoencoding with bootstrapped teachers: results, and every job, file, parameter and data set behind them.",
        "datePublished": max(step.execution.ended for step in story.steps.values()),
        "license": graph.add(
            LICENCE, "CreativeWork", name="Apache License 2.0", description="of the code; data and teachers have their own"
        ),
        "conformsTo": graph.add(PROFILE, "CreativeWork", name="Process Run Crate", version="0.5"),
        "citation": graph.add(PAPER, "ScholarlyArticle", name="Exploring Target Representations for Masked Autoencoders"),
        "author": [_named(graph, name) for name in people],
        "hasPart": parts,
        "mentions": actions,
    }
    root |= _plain(about)
    return {"@context": CONTEXT, "@graph": list(graph.entities.values())}


def _lies_here(name: str, entity: Entity) -> bool:
    """Whether it is a file or a folder below this one; other data sets lie where each machine has them."""
    return entity["@type"] == "File" or (entity["@type"] == "Dataset" and name.endswith("/") and name != "./")


def _action(graph: _Graph, story: Story, step: Step) -> Ref:
    receipt, execution = step.receipt, step.execution
    name = f"urn:uuid:{uuid.UUID(execution.name)}"
    read = [{"@id": _path(needed.path)} for needed in receipt.inputs.values()]
    sources = [_source(graph, story.sources[key]) for key in step.used]
    settings = graph.add(
        f"#settings-{data_digest(receipt.settings)}", "PropertyValue", name="parameters", value=canonical(receipt.settings).decode()
    )
    about = {"identifier": step.receipt.id, "description": f"receipt of {step.name}", "author": _person(graph, story, step)}
    proof = _file(graph, step.path.as_posix(), file_digest(step.path), step.path.stat().st_size, **about)
    files = [_file(graph, path, sha256, size) for path, (sha256, size) in step.files.items()]
    findings = [
        graph.add(f"#{step.receipt.id}-{quote(key)}", "PropertyValue", name=key, value=value) for key, value in receipt.results.items()
    ]
    hardware = [_hardware(graph, device) for device in _devices(step)]
    return graph.add(
        name,
        "CreateAction",
        name=step.name,
        description=" ".join(execution.command),
        startTime=execution.attempts[0].started,
        endTime=execution.ended,
        instrument=_software(graph, story, step),
        agent=_person(graph, story, step),
        object=[*read, *sources, settings],
        result=[proof, *files, *findings],
        additionalProperty=hardware,
        actionStatus=COMPLETED,
    )


def _file(graph: _Graph, path: str, sha256: str, size: int, **more: Any) -> Ref:
    kind = "application/json" if path.endswith(".json") else mimetypes.guess_type(path)[0] or "application/octet-stream"
    name = path.rpartition("/")[2]
    return graph.add(_path(path), "File", name=name, contentSize=str(size), sha256=sha256, encodingFormat=kind, **more)


def _source(graph: _Graph, source: Source) -> Ref:
    licence = graph.add(f"#licence-{data_digest(source.licence)[:12]}", "CreativeWork", name=source.licence)
    name = f"#{quote(source.key)}" if source.folder is None else f"{_path(source.folder)}/"
    kind = "Dataset" if source.kind == "data set" else "CreativeWork"
    return graph.add(
        name,
        kind,
        name=source.title,
        description=f"{source.kind}; {source.origin}",
        license=licence,
        identifier=source.sha256 or source.key,
    )


def _software(graph: _Graph, story: Story, step: Step) -> Ref:
    receipt, execution = step.receipt, step.execution
    packages = [_package(graph, name, version) for name, version in receipt.environment.items()]
    author = story.people.authors.get(execution.commit or "")
    state = f", with changes {execution.changes}" if execution.changes else ""
    return graph.add(
        f"urn:dbot:software:{data_digest([receipt.code, receipt.environment, execution.commit, execution.changes])}",
        "SoftwareApplication",
        name="dbot",
        softwareVersion=execution.commit or receipt.code,
        description=f"SHA-256 of its sources {receipt.code}; commit {execution.commit or 'unknown'}{state}",
        url=PAPER,
        author=_named(graph, author) if author is not None else None,
        softwareRequirements=packages,
    )


def _package(graph: _Graph, name: str, version: str) -> Ref:
    """Python, or a package, by the page of its release; a build of its own (``+cu130``) is told apart by a fragment."""
    release, _, build = version.partition("+")
    url = f"https://pypi.org/project/{quote(name)}/{quote(release)}/"
    if name == "python":
        url = f"https://www.python.org/downloads/release/python-{quote(release.replace('.', ''))}/"
    return graph.add(f"{url}#{quote(build)}" if build else url, "SoftwareApplication", name=name, softwareVersion=version, url=url)


def _devices(step: Step) -> list[dict[str, str | int]]:
    receipt = step.receipt
    here: dict[str, str | int] = {"device": receipt.device, "processes": receipt.processes}
    return [{**here, **(attempt.hardware or {}), "host": attempt.host} for attempt in step.execution.attempts]


def _hardware(graph: _Graph, device: dict[str, str | int]) -> Ref:
    text = ", ".join(f"{name} {value}" for name, value in device.items())
    return graph.add(f"#hardware-{data_digest(device)[:12]}", "PropertyValue", name="hardware", value=text)


def _person(graph: _Graph, story: Story, step: Step) -> Ref | None:
    """Who put the receipt into git."""
    name = story.people.committers.get(step.path)
    return _named(graph, name) if name is not None else None


def _named(graph: _Graph, name: str) -> Ref:
    return graph.add(f"#person-{quote(name, safe='')}", "Person", name=name)


def _path(path: str) -> str:
    return quote(path)
