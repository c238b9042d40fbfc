"""A bundle as a Workflow Run RO-Crate: the Provenance Run Crate profile 0.5, over RO-Crate 1.1.

What the lineage says of each job as an action is taken over; here stands what the workflow adds: the Snakefile with its rules as
steps, the engine, and which action was the run of which step.
"""

import mimetypes
import uuid
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dbot.base.digest import data_digest, file_digest
from dbot.lineage.provenance.crate import COMPLETED, crate
from dbot.lineage.provenance.story import Story
from dbot.plan import Job

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/provenance/0.5": ("Provenance Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
BIOSCHEMAS = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
SNAKEFILE = "workflow/Snakefile"
FILE = "ro-crate-metadata.json"

Ref = dict[str, str]


def write(story: Story, jobs: Sequence[Job], names: Sequence[str], doi: str | None) -> None:
    """Write ``ro-crate-metadata.json`` into the current folder, which is the bundle's.

    Args:
        story: of the results.
        jobs: behind them, ancestors first.
        names: of the bundle's files.
        doi: under which it is cited.
    """
    from rocrate.rocrate import ROCrate

    document = crate(story)
    (root,) = (entity for entity in document["@graph"] if entity["@id"] == "./")
    root["conformsTo"] = [{"@id": name} for name in PROFILES]
    root["description"] += " With the files themselves; of the data, the manifests."
    if doi is not None:
        root["identifier"] = f"https://doi.org/{doi}"
    present = {quote(name) for name in names}
    gone = [entity for entity in document["@graph"] if _is_left_out(entity, present)]
    parts = [part for part in _listed(root["hasPart"]) if part["@id"] not in {entity["@id"] for entity in gone}]
    known = {part["@id"] for part in parts}
    more = [_file(name) for name in names if quote(name) not in known and name != FILE]
    root["hasPart"] = [*parts, *({"@id": entity["@id"]} for entity in more)]
    document["@graph"] = [entity for entity in document["@graph"] if entity not in gone] + more
    _point_elsewhere(document["@graph"], gone)
    with warnings.catch_warnings():  # it says that some entities are listed nowhere, which is checked by its validator
        warnings.simplefilter("ignore")
        made = ROCrate(document)
    for name, (title, number) in PROFILES.items():
        made.add_or_update_jsonld({"@id": name, "@type": "CreativeWork", "name": title, "version": number})
    _workflow(made, story, jobs)
    made.add_jsonld({"@id": BIOSCHEMAS, "@type": "CreativeWork", "name": "Bioschemas ComputationalWorkflow", "version": "1.0-RELEASE"})
    made.metadata.write(Path())


def _workflow(made: Any, story: Story, jobs: Sequence[Job]) -> None:
    """Add the workflow, its steps, its run, and the engine's account of it."""
    actions = {job.name: f"urn:uuid:{uuid.UUID(story.steps[job.receipt].execution.name)}" for job in jobs}
    tools = {name: made.get(action)["instrument"].id for name, action in actions.items()}
    rules = {rule: [job for job in jobs if job.verb == rule] for rule in dict.fromkeys(job.verb for job in jobs)}
    codes = dict.fromkeys(story.steps[job.receipt].receipt.code[:12] for job in jobs)
    about = {
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        "name": "dbot's workflow",
        "description": "Masked autoencoding with bootstrapped teachers: a rule for each kind of job.",
        "version": ", ".join(codes),
        "encodingFormat": "text/plain",
        "conformsTo": {"@id": BIOSCHEMAS},
    }
    workflow = made.add_workflow(Path(SNAKEFILE), SNAKEFILE, main=True, lang="snakemake", properties=about)
    workflow["hasPart"] = _single(_refs(tools.values()))
    steps = []
    for position, (rule, done) in enumerate(rules.items(), start=1):
        about = {"name": rule, "description": done[0].kind.title, "position": str(position)}
        steps.append(_add(made, f"{SNAKEFILE}#{rule}", "HowToStep", **about, workExample=_refs(tools[job.name] for job in done)))
    workflow["step"] = _single(steps)
    engine = _add(
        made,
        f"https://pypi.org/project/snakemake/{version('snakemake')}/",
        "SoftwareApplication",
        name="Snakemake",
        softwareVersion=version("snakemake"),
        url="https://snakemake.github.io",
    )
    times = [story.steps[job.receipt].execution for job in jobs]
    began, ended = min(one.attempts[0].started for one in times), max(one.ended for one in times)
    targets = {path.as_posix() for path in story.targets}
    run = _add(
        made,
        f"#run-{data_digest(sorted(actions.values()))[:12]}",
        "CreateAction",
        name=f"the workflow, scale {story.scale}",
        description=f"{len(jobs)} jobs, each when its inputs were there",
        instrument={"@id": SNAKEFILE},
        startTime=began,
        endTime=ended,
        object=_refs(quote(file) for file in ("params.yaml",) if made.get(file) is not None),
        result=_refs(quote(path) for path in sorted(targets)),
        actionStatus=COMPLETED,
    )
    controls = [
        _add(
            made,
            f"#control-{quote(job.name)}",
            "ControlAction",
            name=f"orchestrate {job.name}",
            instrument={"@id": f"{SNAKEFILE}#{job.verb}"},
            object={"@id": actions[job.name]},
            actionStatus=COMPLETED,
        )
        for job in jobs
    ]
    organised = _add(
        made,
        "#organised",
        "OrganizeAction",
        name="Snakemake's runs of these jobs",
        instrument=engine,
        object=controls,
        result=run,
        startTime=began,
        endTime=ended,
        actionStatus=COMPLETED,
    )
    mentioned = [{"@id": entity.id} for entity in _listed(made.root_dataset["mentions"])]
    made.root_dataset["mentions"] = [*mentioned, run, organised]


def _add(made: Any, ident: str, kind: str, **properties: Any) -> Ref:
    made.add_jsonld({"@id": ident, "@type": kind, **{key: _single(value) for key, value in properties.items() if value != []}})
    return {"@id": ident}


def _refs(idents: Any) -> list[Ref]:
    return [{"@id": ident} for ident in dict.fromkeys(idents)]


def _single(value: Any) -> Any:
    """One value stands by itself, not in a list."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _file(name: str) -> dict[str, Any]:
    path = Path(name)
    kind = "application/json" if path.suffix == ".json" else mimetypes.guess_type(name)[0] or "application/octet-stream"
    about = {"name": path.name, "contentSize": str(path.stat().st_size), "sha256": file_digest(path), "encodingFormat": kind}
    return {"@id": quote(name), "@type": "File", **about, **({"about": {"@id": "./"}} if name == "README.md" else {})}


def _is_left_out(entity: dict[str, Any], present: set[str]) -> bool:
    """Whether it is a file that was not published, a picture of data that are not open, or the folder of data themselves."""
    kind, name = entity["@type"], entity["@id"]
    return (kind == "File" and name not in present) or (kind == "Dataset" and name.endswith("/") and name != "./")


def _point_elsewhere(graph: list[dict[str, Any]], gone: list[dict[str, Any]]) -> None:
    """Let data sets that are not in the bundle be something outside of it, and have nothing point to what was left out."""
    moved = {entity["@id"]: f"#{entity['@id'].strip('/')}" for entity in gone if entity["@type"] == "Dataset"}
    left = {entity["@id"] for entity in gone} - moved.keys()
    for entity in gone:
        if entity["@id"] in moved:
            graph.append({**entity, "@id": moved[entity["@id"]], "@type": "CreativeWork"})
    for entity in graph:
        for key, value in entity.items():
            if isinstance(value, dict | list) and key != "@type":
                kept = [each for each in _listed(value) if not (isinstance(each, dict) and each.get("@id") in left)]
                kept = [{"@id": moved.get(each["@id"], each["@id"])} if isinstance(each, dict) and "@id" in each else each for each in kept]
                entity[key] = kept if isinstance(value, list) else (kept or [None])[0]
