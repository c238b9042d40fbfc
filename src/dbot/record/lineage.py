"""From a cell back to the data, receipt by receipt."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dbot.errors import UserError
from dbot.record import receipt as receipts
from dbot.record.digest import data_digest
from dbot.record.receipt import Receipt

KEYS = ("dataset", "released", "row", "column", "stage", "seed")
"""A job's wildcards in the order in which a person names them."""


def walk(paths: list[Path]) -> dict[Path, Receipt]:
    """The receipts at some paths and all that they came from, the nearest first.

    Raises:
        UserError: one is missing or was changed, or is no longer the one that was read.
    """
    found: dict[Path, Receipt] = {}
    queue = list(paths)
    while queue:
        path = queue.pop(0)
        if path in found:
            continue
        found[path] = receipts.read(path)
        for needed in found[path].identity.inputs.values():
            if receipts.read(Path(needed.path)).id != needed.id:
                raise UserError(
                    f"{path}: was made from another {needed.path} than lies there now, so its lineage is lost here; run its job again"
                )
            queue.append(Path(needed.path))
    return found


def as_json(paths: list[Path], found: dict[Path, Receipt]) -> dict[str, Any]:
    """Everything on the receipts, by path."""
    return {"targets": [str(path) for path in paths], "receipts": {str(path): receipt.model_dump() for path, receipt in found.items()}}


def as_text(paths: list[Path], found: dict[Path, Receipt]) -> str:
    """A tree for people; what was shown once is named only."""
    shown: set[Path] = set()
    return "\n".join(line for path in paths for line in _branch(path, found, shown, ""))


def _branch(path: Path, found: dict[Path, Receipt], shown: set[Path], role: str) -> Iterator[str]:
    receipt = found[path]
    identity = receipt.identity
    key = sorted(identity.key.items(), key=lambda item: KEYS.index(item[0]))
    name = " ".join([identity.verb, *(f"{name} {value}" for name, value in key)])
    title = f"{f'{role}: ' if role else ''}{name}  [{receipt.id[:12]}]"
    if path in shown:
        yield f"{title}  (above)"
        return
    shown.add(path)
    yield title
    inputs = list(identity.inputs.items())
    for line in _facts(receipt):
        yield f"{'│' if inputs else ' '}   {line}"
    for i, (below, needed) in enumerate(inputs):
        last = i == len(inputs) - 1
        for j, line in enumerate(_branch(Path(needed.path), found, shown, below)):
            yield f"{('└── ' if last else '├── ') if j == 0 else ('    ' if last else '│   ')}{line}"


def _facts(receipt: Receipt) -> Iterator[str]:
    identity, circumstances = receipt.identity, receipt.circumstances
    declared = identity.settings.get("dataset")
    if isinstance(declared, dict):
        yield f"data set {declared['title']}; licence: {declared['licence']}"
    file = identity.settings.get("released")
    if isinstance(file, dict):
        yield f"released weights {file['file']}; layout: {file['layout']}"
    if identity.results:
        yield f"results   {', '.join(f'{name} {_shown(value)}' for name, value in identity.results.items())}"
    recipe = identity.settings.get("recipe", {})
    key = ", ".join(f"{name} {recipe[name]}" for name in ("epochs", "batch_size", "image_size", "select") if recipe.get(name) is not None)
    yield f"settings  {data_digest(identity.settings)[:12]}{f' ({key})' if key else ''}"
    for name, artifact in {**identity.artifacts, **circumstances.logs}.items():
        yield f"file      {name}  sha256 {artifact.sha256[:12]}  {artifact.bytes:,} bytes"
    last, count = circumstances.attempts[-1], len(circumstances.attempts)
    how = f"{receipt.seconds:.1f} s{f' in {count} attempts' if count > 1 else ''}, {identity.processes} x {identity.device}"
    yield f"ran       {circumstances.ended}, {how}, on {last.host}{f', Slurm job {last.slurm_job}' if last.slurm_job else ''}"
    commit = circumstances.commit[:12] if circumstances.commit else "no git"
    yield f"code      {identity.code[:12]}, commit {commit}{' with changes' if circumstances.changes else ''}"


def _shown(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else value[:12] if isinstance(value, str) else f"{value:,}"
