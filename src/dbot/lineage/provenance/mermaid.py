"""A lineage as a Mermaid flow chart, which GitHub and many editors draw."""

from collections.abc import Iterator
from pathlib import Path

from dbot.lineage.provenance.story import Step, Story

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
