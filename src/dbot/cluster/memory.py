"""What becomes of a job that ran out of main memory: it is told so in its log, and asks for more when it is submitted again."""

import re
from pathlib import Path

SAID = re.compile(r"out of memory\? raise .* from ([\d.]+)$")


def out_of_memory(verb: str, memory_gb: float) -> str:
    """The line for whoever reads the log: which key of params.yaml to raise, and from how many GB."""
    return f"out of memory? raise resources.{verb}.any.memory_gb (or that of its size) in params.yaml from {memory_gb:g}"


def memory_for_attempt(memory_gb: float, growth: float, attempt: int, log: Path) -> float:
    """Main memory that an attempt at a job asks for, in GB: more than the last one had, if that ran out of it.

    Args:
        memory_gb: what params.yaml gives it.
        growth: how many times as much the next attempt asks for.
        attempt: 1 for the first in this run of Snakemake.
        log: the job's log, whose last line says how the last attempt ended.
    """
    if attempt == 1:
        return memory_gb
    try:
        lines = log.read_text(errors="replace").split("\n")
    except OSError:
        return memory_gb
    said = SAID.search(next((line for line in reversed(lines) if line.strip()), ""))
    return memory_gb if said is None else max(memory_gb, round(float(said[1]) * growth, 1))
