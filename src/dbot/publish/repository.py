"""A bundle's front for those who have no dbot: laid out as a model repository of Hugging Face's hub, with page, table, terms, citation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dbot.lineage.judge import Judge
from dbot.lineage.provenance.story import Story
from dbot.params.rows import Column
from dbot.plan import Job, Plan
from dbot.publish.export import CARD, export
from dbot.report import analyses, probes, transfers, words
from dbot.report.files import csv_text, markdown
from dbot.report.page import render
from dbot.report.table import Cell, Table, build

TASKS = {"cls": "image-classification", "det": "object-detection", "seg": "image-segmentation"}
"""By column, the task as the hub calls it."""
METRICS = {"cls": "accuracy", "det": "mAP", "seg": "mean_iou"}
PAPER = "https://arxiv.org/abs/2209.03917"
PROJECT_CITATION = Path("CITATION.cff")


@dataclass(frozen=True)
class Exported:
    """A network that is published as timm loads it, too."""

    job: Job
    folder: Path
    """Below the bundle's; the first lies in the bundle's own."""


def write(plan: Plan, targets: Sequence[Job], story: Story, exports: Sequence[Exported], hub: str | None, doi: str | None) -> None:
    """Write exports, README, results, table and page into the current folder, in which the receipts lie."""
    classes = 0
    for one in exports:
        path = one.job.folder / (one.job.kind.exported or "")
        made = export(plan, path, one.job.receipt, one.folder, one.folder)
        classes = made.classes if one.folder == Path() else classes
    judge = Judge()
    table = build(plan, judge)
    named = {(job.key.get("row"), job.key.get("column")) for job in targets}
    cells = [cell for cell in table.cells if cell.values and (cell.row, cell.column) in named]
    card = Path(CARD).read_text() if exports else f"---\nlicense: other\n---\n# dbot, scale `{plan.scale}`\n"
    if hub is not None:
        card = card.replace('"local-dir:.', f'"hf-hub:{hub}')
    _, _, text = card.removeprefix("---\n").partition("---\n")
    metadata = _metadata(plan, story, cells, classes, bool(exports))
    about = "\n".join(_about(plan, targets, exports, _evidence(plan, judge, table), doi))
    Path(CARD).write_text(f"---\n{metadata}\n---\n{text.rstrip()}\n\n{about}\n")
    _results(plan, story, cells)
    Path("table.csv").write_text(csv_text(table))
    Path("table.md").write_text(markdown(table))
    Path("report.html").write_text(render(plan))


def _evidence(plan: Plan, judge: Judge, table: Table) -> list[str]:
    """Write the tables and figures that stand beside the table, as far as any of it was measured; returns their names."""
    texts: dict[str, str] = {}
    analysed = analyses.build(plan, judge)
    figures = analyses.draw(analysed, Path()) if analyses.drawn_rows(analysed) else []
    if figures:
        texts["analyses.csv"] = analyses.csv_text(plan, analysed)
    probed = probes.build(plan, judge, table)
    if any(line.values for line in probed.lines):
        texts["probes.csv"] = probes.csv_text(plan, probed)
    transferred = transfers.build(plan, judge)
    if any(cell.values for line in transferred.lines for cell in line.cells.values()):
        texts["transfers.csv"] = transfers.csv_text(plan, transferred)
    for name, text in texts.items():
        Path(name).write_text(text)
    return [*(figure.name for figure in figures), *texts]


def _metadata(plan: Plan, story: Story, cells: Sequence[Cell], classes: int, loads: bool) -> str:
    """The README's YAML, `model-index` included."""
    from huggingface_hub import EvalResult, ModelCardData

    found = [
        EvalResult(
            task_type=TASKS[cell.column],
            task_name=f"{words.COLUMN_TITLES[cell.column]}, row {cell.row}",
            dataset_type=declared.hub or getattr(plan.params.uses, cell.column),
            dataset_name=declared.title,
            dataset_split="validation",
            metric_type=METRICS[cell.column],
            metric_name=f"{words.HEADS[cell.column]}, row {cell.row}",
            metric_value=round(cell.measured or 0.0, 4),
        )
        for cell in cells
        for declared in [plan.params.datasets[getattr(plan.params.uses, cell.column)]]
    ]
    data = ModelCardData(
        library_name="timm" if loads else None,
        pipeline_tag=("image-classification" if classes else "image-feature-extraction") if loads else None,
        license="other" if any(source.kind == "released weights" for source in story.sources.values()) else "apache-2.0",
        tags=["dbot", "masked-autoencoding", "ro-crate"],
        model_name="dbot-" + "-".join(dict.fromkeys(cell.row for cell in cells)) if cells else None,
        eval_results=found or None,
    )
    return str(data.to_yaml())


def _results(plan: Plan, story: Story, cells: Sequence[Cell]) -> None:
    """``.eval_results/``: numbers on data sets that the hub knows by name."""
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    by_set: dict[Column, list[Any]] = {}
    for cell in cells:
        declared = plan.params.datasets[getattr(plan.params.uses, cell.column)]
        if declared.hub is not None:
            steps = [story.steps[found.path] for found in cell.findings if found.path in story.steps]
            by_set.setdefault(cell.column, []).append(
                EvalResultEntry(
                    dataset_id=declared.hub,
                    task_id=TASKS[cell.column].replace("-", "_"),
                    value=round(cell.measured or 0.0, 4),
                    date=max((step.execution.ended for step in steps), default=None),
                    notes=f"row {cell.row}, {words.HEADS[cell.column]} in %, {len(cell.values)} seed{'s' * (len(cell.values) != 1)}, "
                    f"receipts {' '.join(step.receipt.id[:12] for step in steps)}",
                )
            )
    for column, entries in by_set.items():
        path = Path(".eval_results", f"{getattr(plan.params.uses, column)}.yaml")
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False))


def _about(plan: Plan, targets: Sequence[Job], exports: Sequence[Exported], evidence: Sequence[str], doi: str | None) -> Iterator[str]:
    yield "## What else lies here"
    yield ""
    yield f"Results of scale `{plan.scale}` with all that proves them: {', '.join(f'`{job.name}`' for job in targets)}."
    yield ""
    yield "| | |\n|---|---|"
    for one in exports[1:]:
        yield f"| `{one.folder}/` | the network of `{one.job.name}`, as timm loads it: `local-dir:{one.folder}` |"
    yield "| `report.html`, `table.csv`, `table.md` | the page, and the table |"
    if evidence:
        yield f"| {', '.join(f'`{name}`' for name in evidence)} | what stands beside the table |"
    yield f"| `results/{plan.scale}/` | receipts, executions, checkpoints, metrics; of data sets their manifests |"
    yield f"| `logs/{plan.scale}/` | what the jobs said |"
    yield "| `params.yaml`, `params/`, `workflow/` | by what they were made |"
    yield "| `ro-crate-metadata.json` | all of it as a Workflow Run RO-Crate (Provenance Run Crate) |"
    yield "| `LICENCES.md`, `CITATION.cff` | terms, and how to cite |"
    yield "| `bundle.json` | size and SHA-256 of every file |"
    yield ""
    yield "In a checkout of the project `dbot restore` puts all of it in place, once every digest is found right."
    if doi is not None:
        yield f"\nDOI: [{doi}](https://doi.org/{doi})"


def licences(story: Story) -> str:
    """Terms of the code, the weights, the teachers and the data, in Markdown."""
    lines = [
        "# Licences",
        "",
        f"- Code, and what it computed as far as the terms below allow: Apache-2.0 (method: {PAPER}).",
        *(f"- {source.kind}, {source.title}: {source.licence} ({source.origin})." for source in story.sources.values()),
        "",
        "Data are not in this bundle, only their manifests: paths, labels and digests.",
    ]
    return "\n".join(lines) + "\n"


def citation(story: Story, targets: Sequence[Job], doi: str | None) -> str:
    """``CITATION.cff`` (version 1.2.0) of the bundle; authors and the paper are those of the project's own."""
    own = yaml.safe_load(PROJECT_CITATION.read_text()) if PROJECT_CITATION.is_file() else {}
    said = {
        "cff-version": "1.2.0",
        "message": "If you use these results, please cite them and the paper whose method they are of.",
        "type": "dataset",
        "title": f"dbot results, scale {story.scale}: {', '.join(job.name for job in targets)}",
        "authors": own.get("authors") or [{"name": "The dbot maintainers"}],
        "date-released": max(step.execution.ended for step in story.steps.values())[:10],
        **({"doi": doi} if doi is not None else {}),
        "license": "Apache-2.0",
        "references": [own["preferred-citation"]] if "preferred-citation" in own else [{"type": "article", "title": PAPER, "url": PAPER}],
    }
    return yaml.safe_dump(said, sort_keys=False, allow_unicode=True, width=140)
