"""The model card of an exported checkpoint, generated from its receipt and those behind it.

What was measured with the very weights and what others published for the row stand in sections of
their own; a number gets into the first only if its lineage holds the checkpoint's receipt.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2
import yaml

from dbot.jobs.distill import DISTILL
from dbot.lineage.judge import Judge, Standing
from dbot.lineage.receipt import Receipt
from dbot.lineage.target import walk
from dbot.params.rows import COLUMNS
from dbot.plan import Plan
from dbot.report import words
from dbot.report.table import build

HERE = Path(__file__).parent
SHORT = 12
CODE = "Code: Apache-2.0."


@dataclass(frozen=True)
class Exported:
    """What is exported."""

    checkpoint: Path
    digest: str
    """SHA-256 of the checkpoint."""
    about: Mapping[str, Any]
    """The checkpoint's header."""
    receipt: Path | None
    """The receipt that it stands on, if one lies beside it."""
    image_size: int
    mean: list[float]
    std: list[float]
    folder: Path
    """Where the export goes."""


def card(plan: Plan, exported: Exported) -> str:
    """The model card, in Markdown.

    Raises:
        UserError: a receipt behind the checkpoint is missing or was changed.
    """
    about = exported.about
    chain = walk([exported.receipt]) if exported.receipt is not None else {}
    own = chain[exported.receipt] if exported.receipt is not None else None
    declared = plan.resolved.params.rows.get(about.get("row", ""))
    published = declared.published if declared is not None else None
    released = list(_released(about, chain))
    classes = len(about["classes"]) if about["kind"] == "classifier" else 0
    what = f"classifier of {classes} classes" if classes else "pre-trained backbone"
    row = f", row {about['row']}" if "row" in about else ""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    return environment.get_template("card.md").render(
        exported=exported,
        title=f"{about['architecture']['title']}{row}: {what}",
        summary=_summary(plan, what, about, released),
        classes=classes,
        width=about["architecture"]["width"],
        facts=list(_facts(plan, exported, own, chain)),
        recipe=yaml.safe_dump(own.settings["recipe"], sort_keys=False) if own and "recipe" in own.settings else "",
        measured=_measured(plan, own),
        published=[(words.COLUMN_TITLES[c], getattr(published, c)) for c in COLUMNS if getattr(published, c, None) is not None],
        published_by=published.source if published is not None else "",
        lineage=[_receipt_line(receipt) for receipt in chain.values()],
        released=released,
        licences=list(_licences(plan, chain, released)),
    )


def _summary(plan: Plan, what: str, about: Mapping[str, Any], files: list[str]) -> str:
    size = f"A Vision Transformer ({about['architecture']['title']}), {what}"
    if files:
        return f"{size}. It stands on weights that others released ({', '.join(files)}); it was not, or not only, trained by this project."
    if "row" not in about:
        return f"{size}."
    scale = plan.resolved.params.scales[plan.scale].title
    return f"{size}, trained with [dbot](https://arxiv.org/abs/2209.03917) at scale `{plan.scale}`: {scale}."


def _facts(plan: Plan, exported: Exported, own: Receipt | None, chain: Mapping[Path, Receipt]) -> Iterator[tuple[str, str]]:
    about, a = exported.about, exported.about["architecture"]
    yield "network", f"{a['depth']} blocks of width {a['width']}, {a['heads']} heads, {a['patch_size']} px patches"
    if "row" in about:
        yield "row", str(about["row"])
    if "stage" in about:
        yield "stage of distillation", str(about["stage"])
    if "seed" in about:
        yield "seed of fine-tuning", str(about["seed"])
    if "layout" in about:
        yield "imported from", f"{about['source']['file']}, layout {about['layout']}, SHA-256 `{about['source']['sha256']}`"
    if own is not None and "recipe" in own.settings:
        recipe = own.settings["recipe"]
        names = ("epochs", "batch_size", "mask_ratio", "label_fraction", "precision")
        yield "recipe", ", ".join(f"{name} {recipe[name]}" for name in names if name in recipe)
    for receipt in chain.values():
        if receipt.verb == DISTILL.name:
            yield f"teacher of {receipt.key['row']}, stage {receipt.key['stage']}", _teacher(plan, receipt.key["row"], receipt, chain)
    for receipt in chain.values():
        declared = receipt.settings.get("dataset")
        if isinstance(declared, dict):
            counts = receipt.results
            yield "data", f"{declared['title']}, {counts.get('train', '?')} training images; {declared['licence']}"
    if own is not None and own.results:
        yield "findings of its own job", ", ".join(f"{name} {_shown(value)}" for name, value in own.results.items())


def _teacher(plan: Plan, row: str, receipt: Receipt, chain: Mapping[Path, Receipt]) -> str:
    used = receipt.inputs.get("teacher")
    if used is not None:
        taught = chain[Path(used.path)]
        return f"the network of {taught.verb} {', '.join(taught.key.values())} (`{used.id[:SHORT]}`)"
    stated = receipt.settings.get("teacher", {})
    params = plan.resolved.params
    declared = params.teachers.get(params.rows[row].teacher or "") if row in params.rows else None
    seen = f"; data it saw: {declared.data}; licence: {declared.licence}" if declared is not None else ""
    return ", ".join(f"{name} {value}" for name, value in stated.items()) + seen


def _measured(plan: Plan, own: Receipt | None) -> list[tuple[str, ...]]:
    """The measurements whose lineage holds the checkpoint's receipt, by cell."""
    if own is None:
        return []
    table = build(plan, Judge())
    found: list[tuple[str, ...]] = []
    for cell in table.cells:
        seeds = [seed for seed in cell.seeds if seed.value is not None and seed.found is not None and _stands_on(seed.found, own)]
        if seeds:
            on_these = replace(cell, seeds=tuple(seeds))
            data = table.params.datasets[getattr(table.params.uses, cell.column)].title
            receipts = " ".join(f"`{receipt.id[:SHORT]}`" for receipt in on_these.receipts)
            number = words.measured(on_these.measured, on_these.sd)
            found.append((cell.row, words.COLUMN_TITLES[cell.column], number, data, str(len(seeds)), receipts))
    return found


def _stands_on(finding: Standing, own: Receipt) -> bool:
    return any(below.receipt is not None and below.receipt.id == own.id for below in finding.lineage())


def _receipt_line(receipt: Receipt) -> str:
    key = ", ".join(f"{name} {value}" for name, value in receipt.key.items())
    return f"`{receipt.id}` {receipt.verb} ({key}), scale {receipt.scale}"


def _released(about: Mapping[str, Any], chain: Mapping[Path, Receipt]) -> Iterator[str]:
    """The released files that the checkpoint stands on."""
    if "layout" in about:
        yield about["source"]["file"]
    for receipt in chain.values():
        file = receipt.settings.get("released", {}).get("file")
        if file is not None and file != about.get("source", {}).get("file"):
            yield file


def _licences(plan: Plan, chain: Mapping[Path, Receipt], files: list[str]) -> Iterator[str]:
    yield CODE
    declared = {file.file: file.licence for file in plan.resolved.params.released.files.values()}
    for file in files:
        yield f"Weights of {file}: {declared.get(file, 'those of its source; find out before you pass them on')}."
    if not files:
        yield "Weights: Apache-2.0, as far as the terms of the data and of the teachers allow."
    for receipt in chain.values():
        dataset = receipt.settings.get("dataset")
        if isinstance(dataset, dict):
            yield f"Data, {dataset['title']}: {dataset['licence']}."


def _shown(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:SHORT]
