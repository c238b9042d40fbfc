"""The project's params.yaml with a demo of four rows and all evidence: whole enough for a test of the workflow, and quick."""

from pathlib import Path

from tests.params_text import params_text

PROJECT = Path(__file__).parents[1]

WHOLE = "build: {columns: [cls, det, seg], evidence: [probes, analyses, comparisons, transfers], sweeps: [teachers]}"
FEW = "build: {rows: [B-B, L-L, H-H, H448-H], columns: [cls], evidence: [probes, analyses]}"


def params_with_few_rows() -> str:
    """The text of params.yaml, with `FEW` in it."""
    text = params_text()
    assert text.count(WHOLE) == 1
    return text.replace(WHOLE, FEW)
