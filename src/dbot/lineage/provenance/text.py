"""A lineage for people: as text, and as a Mermaid flow chart, which GitHub and many editors draw."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dbot.base.digest import data_digest
from dbot.lineage.provenance.story import Source, Step, Story

KEYS = ("dataset", "released", "row", "other", "column", "stage", "seed")
"""A job's wildcards in the order in which a person names them."""
GIB = 1024**3


def as_json(story: Story) -> dict[str, Any]:
    """Everything on the receipts, by path, with what came from outside and the people that git knows."""
    return {
        "targets": [path.as_posix() for path in story.targets],
        "receipts": {path.as_posix(): step.receipt.model_dump() for path, step in story.steps.items()},
        "executions": {path.as_posix(): [each.model_dump() for each in step.executions] for path, step in story.steps.items()},
        "sources": {key: vars(source) for key, source in story.sources.items()},
        "people": {
            "code": story.people.authors,
            "receipts": {path.as_posix(): name for path, name in story.people.committers.items()},
        },
    }


def as_text(story: Story) -> str:
    """A tree; what was shown once is named only. Below it software, hardware, licences and people, each once."""
    shown: set[Path] = set()
    tree = [line for path in story.targets for line in _branch(path, story, shown, "")]
    return "\n".join([*tree, "", *_once(story)])


def _once(story: Story) -> Iterator[str]:
    steps = story.steps.values()
    for name, lines in {
        "software": Counter(", ".join(f"{k} {v}" for k, v in step.receipt.environment.items()) for step in steps),
        "hardware": Counter(line for step in steps for line in {_machine(step)}),
    }.items():
        for line, count in lines.items():
            yield f"{name:9} {line} ({count} jobs)"
    for source in story.sources.values():
        yield f"{'licence':9} {source.kind} {source.title}: {source.licence}"
    for what, names in (("code by", story.people.authors.values()), ("results by", story.people.committers.values())):
        if names:
            yield f"{'people':9} {what} {', '.join(sorted(set(names)))}, as git has it"


def _machine(step: Step) -> str:
    hardware = step.execution.attempts[-1].hardware
    device = f"{step.receipt.processes} x {step.receipt.device}"
    if hardware is None:
        return f"{device}; the machine is not known"
    driver = f", driver {hardware['driver']}" if "driver" in hardware else ""
    memory = float(hardware["memory_bytes"]) / GIB
    return f"{device}; {hardware['cores']} cores of {hardware['processor']}, {memory:.0f} GiB, {hardware['system']}{driver}"


def _branch(path: Path, story: Story, shown: set[Path], role: str) -> Iterator[str]:
    step = story.steps[path]
    receipt = step.receipt
    key = sorted(receipt.key.items(), key=lambda item: KEYS.index(item[0]))
    name = " ".join([receipt.verb, *(f"{name} {value}" for name, value in key)])
    title = f"{f'{role}: ' if role else ''}{name}  [{receipt.id[:12]}]"
    if path in shown:
        yield f"{title}  (above)"
        return
    shown.add(path)
    yield title
    inputs = list(receipt.inputs.items())
    for line in _facts(step, story.sources):
        yield f"{'│' if inputs else ' '}   {line}"
    for i, (below, needed) in enumerate(inputs):
        last = i == len(inputs) - 1
        for j, line in enumerate(_branch(Path(needed.path), story, shown, below)):
            yield f"{('└── ' if last else '├── ') if j == 0 else ('    ' if last else '│   ')}{line}"


def _facts(step: Step, sources: Mapping[str, Source]) -> Iterator[str]:
    receipt = step.receipt
    execution = step.execution
    for source in (sources[key] for key in step.used):
        yield f"{source.kind} {source.title}; licence: {source.licence}"
    if receipt.results:
        yield f"results   {', '.join(f'{name} {_shown(value)}' for name, value in receipt.results.items())}"
    recipe = receipt.settings.get("recipe", {})
    key = ", ".join(f"{name} {recipe[name]}" for name in ("epochs", "batch_size", "image_size", "select") if recipe.get(name) is not None)
    yield f"settings  {data_digest(receipt.settings)[:12]}{f' ({key})' if key else ''}"
    for name, artifact in receipt.artifacts.items():
        yield f"file      {name}  sha256 {artifact.sha256[:12]}  {artifact.bytes:,} bytes"
    last, count = execution.attempts[-1], len(execution.attempts)
    how = f"{execution.seconds:.1f} s{f' in {count} attempts' if count > 1 else ''}, {receipt.processes} x {receipt.device}"
    yield f"ran       {execution.ended}, {how}, on {last.host}{f', Slurm job {last.slurm_job}' if last.slurm_job else ''}"
    commit = execution.commit[:12] if execution.commit else "no git"
    yield f"code      {receipt.code[:12]}, commit {commit}{' with changes' if execution.changes else ''}"


def _shown(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else value[:12] if isinstance(value, str) else f"{value:,}"


SHOWN = ("top1", "box_ap", "miou", "loss", "train", "validation")
"""Findings that a box shows, the first that there is."""


def mermaid(story: Story) -> str:
    """The chart: from the data at the left to the results at the right."""
    return "\n".join(_lines(story)) + "\n"


def _lines(story: Story) -> Iterator[str]:
    yield "flowchart LR"
    names = {path: f"job{i}" for i, path in enumerate(story.steps)}
    sources = {key: f"source{i}" for i, key in enumerate(story.sources)}
    for key, source in story.sources.items():
        yield f'  {sources[key]}[("{_text(source.kind)}: {_text(source.title)}<br/>licence: {_text(source.licence)}")]'
    for path, step in story.steps.items():
        yield f'  {names[path]}["{"<br/>".join(map(_text, _label(step)))}"]'
    for path, step in story.steps.items():
        for key in step.used:
            yield f"  {sources[key]} --> {names[path]}"
        for role, needed in step.receipt.inputs.items():
            yield f"  {names[Path(needed.path)]} -->|{_text(role)}| {names[path]}"
    yield "  classDef result stroke-width:3px"
    yield f"  class {','.join(names[path] for path in story.targets)} result"


def _label(step: Step) -> Iterator[str]:
    receipt = step.receipt
    yield step.name
    name = next((name for name in SHOWN if name in receipt.results), None)
    if name is not None:
        value = receipt.results[name]
        yield f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
    yield step.receipt.id[:12]


def _text(text: str) -> str:
    """Text that may stand between quotes: Mermaid has HTML's entities, with # for &."""
    return text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
