"""A project whose jobs are faked: real receipts over a few dummy bytes, so that what records them is tested without training."""

import json
from collections.abc import Callable
from pathlib import Path

from dbot.base.digest import file_digest
from dbot.lineage import executions
from dbot.lineage.executions import Execution
from dbot.lineage.history import write_history
from dbot.lineage.receipt import Receipt
from dbot.lineage.session import Session
from dbot.params.load import load
from dbot.plan import METRICS, Job, Plan
from tests.few_rows import params_with_few_rows

PROJECT = Path(__file__).parents[1]
HISTORY: list[dict[str, float | None]] = [
    {"epoch": 0, "loss": 1.5, "learning_rate": 1e-3, "top1": None},
    {"epoch": 1, "loss": 0.1 + 0.2, "learning_rate": 5e-4, "top1": 12.5},
]
RESULTS: dict[str, dict[str, float | int | str]] = {
    "prepare": {"train_images": 2, "validation_images": 2, "digest": "d" * 64},
    "evaluate": {"top1": 50.0, "images": 2},
}


class FakeProject:
    """A project in the working directory, whose jobs write dummy files."""

    def __init__(self, folder: Path, scale: str = "demo") -> None:
        self.folder = folder
        self.scale = scale
        self._text = ""
        if not (folder / "params.yaml").exists():
            (folder / "params.yaml").write_text(params_with_few_rows())

    @property
    def plan(self) -> Plan:
        """As params.yaml now has it; it is read again when it has changed."""
        text = (self.folder / "params.yaml").read_text()
        if text != self._text:
            self._text, self._plan = text, Plan(load(self.folder / "params.yaml", self.scale))
        return self._plan

    def set(self, old: str, new: str) -> None:
        """Edit params.yaml."""
        path = self.folder / "params.yaml"
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))

    def run(self, job: Job, meanwhile: Callable[[Session], None] | None = None, keep_state: bool = False) -> Receipt:
        """Do a job: dummy artifacts and a real receipt."""
        return do(job, meanwhile, keep_state)

    def run_chain(self, job: Job) -> None:
        """Do a job and all that it needs and that is not done."""
        for needed in self.plan.jobs([job]):
            if not needed.receipt.exists():
                self.run(needed)


def sealed_anew(execution: Execution, **what: object) -> Execution:
    """An execution that says something else, under a seal that fits."""
    return executions.make(**{**execution.model_dump(exclude={"format", "seal"}), **what})


def do(job: Job, meanwhile: Callable[[Session], None] | None = None, keep_state: bool = False) -> Receipt:
    """Do a job: dummy artifacts and a real receipt."""
    with Session(job) as session:
        job.folder.mkdir(parents=True, exist_ok=True)
        if job.verb == "generate":
            _draw(Path(job.settings["root"]))
        for name in job.artifacts:
            path = job.folder / name
            if name == METRICS:
                write_history(path, HISTORY)
            elif name == "manifest.json":
                path.write_text(json.dumps({"root": job.settings["dataset"]["root"], "annotation_files": {}}))
            elif name == "samples.tsv":
                path.write_text(_samples(Path(job.settings["dataset"]["root"])))
            elif name == "metrics.json":
                path.write_text(json.dumps({"top1": 50.0}))
            else:
                path.write_text(f"{name} of {job.name} with {json.dumps(dict(job.settings), sort_keys=True)}")
        if meanwhile is not None:
            meanwhile(session)
        pictures = [name for name in job.kind.pictures if (job.folder / name).is_file()]
        receipt, _ = session.finish([*job.artifacts, *pictures], RESULTS.get(job.verb, {"loss": 0.25}), keep_state=keep_state)
        return receipt


def pictures_of(job: Job) -> tuple[str, ...]:
    """The pictures that a job leaves; the measurement of a classifier has none."""
    return () if job.key.get("column") == "cls" else job.kind.pictures


def _draw(root: Path) -> None:
    for part in ("train", "val"):
        (root / part / "0").mkdir(parents=True, exist_ok=True)
        for i in range(2):
            (root / part / "0" / f"{i}.png").write_bytes(f"{part} {i}".encode())


def _samples(root: Path) -> str:
    header = "split\tpath\tlabel\tbytes\tdigest\tannotation\tannotation_digest\n"
    rows = (f"train\t{image.relative_to(root)}\t0\t7\t{file_digest(image)}\t\t\n" for image in sorted(root.rglob("*.png")))
    return header + "".join(rows)
