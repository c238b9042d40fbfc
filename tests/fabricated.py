"""A project in a temporary folder, with fabricated receipts: no number here was ever measured."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from dbot.lineage import executions
from dbot.lineage import receipt as receipts
from dbot.lineage.executions import Attempt
from dbot.lineage.history import write_history
from dbot.lineage.receipt import InputReceipt, Receipt
from dbot.params.load import load
from dbot.plan import METRICS, Job, Plan
from tests.fakes import pictures_of
from tests.few_rows import params_with_few_rows

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==")
"""One pixel."""


@dataclass
class Project:
    """The folder, its plan, and a way to pretend that jobs ran in it."""

    plan: Plan

    @classmethod
    def begin(cls, folder: Path, monkeypatch: pytest.MonkeyPatch) -> "Project":
        """A fresh project at demo scale, in a folder that becomes the current one."""
        (folder / "params.yaml").write_text(params_with_few_rows())
        monkeypatch.chdir(folder)
        return cls(Plan(load(Path("params.yaml"), "demo")))

    def reload(self, *changes: tuple[str, str], scale: str | None = None) -> "Project":
        """Rewrite params.yaml, once for each change, and plan anew."""
        text = Path("params.yaml").read_text()
        for old, new in changes:
            assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in params.yaml"
            text = text.replace(old, new)
        Path("params.yaml").write_text(text)
        self.plan = Plan(load(Path("params.yaml"), scale or self.plan.scale))
        return self

    def pretend(self, job: Job, top1: float | None = None, device: str = "cpu", hours: float = 0.25, curve: bool = False) -> Receipt:
        """Write the receipt of a job, and first those of all that it needs and that aren't there."""
        for needed in job.inputs.values():
            if not needed.receipt.exists():
                self.pretend(needed, device=device, hours=hours, curve=curve)
        return self.write(job, self.results_of(job, top1), device, hours, curve)

    def write(
        self,
        job: Job,
        results: Mapping[str, float | int | str],
        device: str,
        hours: float,
        curve: bool,
        artifacts: Mapping[str, receipts.Artifact] | None = None,
    ) -> Receipt:
        written = dict(artifacts or {})
        if curve and METRICS in job.artifacts:
            measured = {"top1": 50.0} if job.verb == "finetune" else {}
            write_history(job.folder / METRICS, [{"epoch": e, "loss": 1 / (e + 1), **measured} for e in range(1, 5)])
        job.folder.mkdir(parents=True, exist_ok=True)
        for name in (*job.artifacts, *pictures_of(job)):
            if name not in written:
                if not (job.folder / name).exists():
                    (job.folder / name).write_bytes(PNG if name in job.kind.pictures else name.encode())
                written[name] = receipts.artifact_of(job.folder / name)
        if job.verb == "generate":
            Path(job.settings["root"]).mkdir(parents=True, exist_ok=True)
        made = receipts.make(
            verb=job.verb,
            scale=job.scale,
            key=dict(job.key),
            settings=dict(job.settings),
            inputs={
                role: InputReceipt(path=needed.receipt.as_posix(), id=receipts.read(needed.receipt).id)
                for role, needed in job.inputs.items()
            },
            artifacts=written,
            results=dict(results),
            code="c0de",
            environment={"python": "3.11"},
            device=device,
            processes=1,
        )
        execution = executions.make(
            receipt=made.id,
            name="e" * 32,
            ended="2031-05-06T07:08:09+00:00",
            attempts=[Attempt(started="2031-05-06T07:00:00+00:00", seconds=hours * 3600, host="workbench", slurm_job=None)],
            device_hours=hours,
            command=["dbot", *job.arguments],
            commit="0123456789abcdef0123456789abcdef01234567",
            changes=None,
            epochs=[],
        )
        executions.write(execution, job.receipt)
        receipts.write(made, job.receipt)
        return made

    @staticmethod
    def results_of(job: Job, top1: float | None) -> dict[str, float | int | str]:
        if job.verb == "prepare":
            return {"train_images": 3000, "validation_images": 1000, "digest": "d1" * 32}
        if job.verb == "evaluate":
            return {"top1": 50.0 if top1 is None else top1, "images": 1000}
        return {}
