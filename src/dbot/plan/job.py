"""One execution of a rule, and the names of the files that jobs leave."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbot.params.rows import Column
from dbot.params.source import KeyPath

RESULTS = Path("results")
LOGS = Path("logs")
RECEIPT = "receipt.json"
METRICS = "metrics.csv"
KEPT = ("fetch", "distill", "finetune", "transfer", "detect", "segment")
"""Verbs that write checkpoints, which DVC keeps as soon as the job has ended."""
STUDENT: Mapping[str, str] = {"distill": "student.safetensors", "fetch": "model.safetensors"}
"""By verb, the checkpoint that a job leaves for others to start from."""
DENSE: Mapping[Column, str] = {"det": "detect", "seg": "segment"}
"""By dense column, the verb that trains its model."""
MODEL = "model.safetensors"
"""The checkpoint that a dense job leaves."""
GALLERY = "gallery.jpg"
SIMILARITY = ("cka.csv", "cka.svg", "cka.png")
"""What a comparison leaves."""
DENSE_ARTIFACTS: Mapping[Column, tuple[str, ...]] = {
    "det": ("detections.json", "categories.csv", GALLERY),
    "seg": ("categories.csv", GALLERY),
}
"""By dense column, what a measurement leaves beside its metrics."""


@dataclass(frozen=True)
class Job:
    """One execution of a rule: which, on what, with which parameters."""

    verb: str
    """The rule, and the verb of the command line."""
    scale: str
    key: Mapping[str, str]
    """What tells it from the rule's other jobs: the wildcards of the rule."""
    inputs: Mapping[str, "Job"]
    """By role, the jobs whose receipts it reads."""
    settings: Mapping[str, Any]
    """The parameters that it uses, and no others."""
    sources: tuple[KeyPath, ...]
    """The sections of the resolved parameters that `settings` was taken from."""
    artifacts: tuple[str, ...]
    """Files that it writes beside its receipt."""
    architecture: str = "any"
    """Whose resources it asks for."""

    @property
    def name(self) -> str:
        """``distill/B-B/stage1``: unique within a scale."""
        return "/".join((self.verb, *(f"{k}{v}" if k in ("stage", "seed") else v for k, v in self.key.items())))

    @property
    def folder(self) -> Path:
        """Where its receipt and artifacts lie."""
        return RESULTS / self.scale / self.name

    @property
    def receipt(self) -> Path:
        return self.folder / RECEIPT

    @property
    def log(self) -> Path:
        """What it says while a rule runs it."""
        return LOGS / self.scale / f"{self.name}.log"

    @property
    def arguments(self) -> list[str]:
        """Its command line after ``dbot``, as the rule has it."""
        keys = [part for k, v in self.key.items() for part in (f"--{k}", v)]
        inputs = [part for role, job in self.inputs.items() for part in (f"--{role}", str(job.receipt))]
        return [self.verb, "--scale", self.scale, *keys, *inputs, "--receipt", str(self.receipt)]

    @property
    def command(self) -> str:
        """Its command line, to be pasted into a terminal."""
        return shlex.join(["dbot", *self.arguments])

    def ancestors(self) -> Iterator["Job"]:
        """Every job that it depends on, each once, the nearest first."""
        seen: set[str] = set()
        queue = list(self.inputs.values())
        while queue:
            job = queue.pop(0)
            if job.name not in seen:
                seen.add(job.name)
                yield job
                queue.extend(job.inputs.values())
