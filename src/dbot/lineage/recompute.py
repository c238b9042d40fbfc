"""Doing jobs again in a scratch folder, and comparing what comes out with their receipts: the strongest proof that there is.

A scratch folder holds links to the project's files: parameters, data, and what the job reads of other jobs, as it is. The job is
started there as its rule starts it, and all that it writes (results, states, logs, MLflow's database) stays there.
"""

import csv
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dbot
from dbot.base.errors import UserError
from dbot.base.standby import THREADS
from dbot.jobs.kind import MEASURED, Preparation
from dbot.jobs.prepare import COPIES, PREPARE
from dbot.lineage import receipt as receipts
from dbot.lineage.judge import reason_of_end
from dbot.lineage.receipt import Receipt, flattened
from dbot.plan import METRICS, Job, Plan

OWN = ("results", "state", "logs", "mlflow.db", "mlflow.db-wal", "mlflow.db-shm", "mlruns", "mlartifacts")
"""What a job writes in a project's folder, of which a scratch folder has its own."""
OPEN = (Path("data"), Path("data/released"), COPIES)
"""Folders that a job may add to: a scratch folder has its own, with links to what is in them."""
WEIGHTS = ".safetensors"
SHORT = 12


@dataclass(frozen=True)
class Tolerance:
    """How far apart what was computed on a GPU without a fixed order of sums may be."""

    findings: float = 0.05
    """Of a number, relative to the larger of the two."""
    weights: float = 0.1
    """Of a checkpoint: the norm of the difference over the norm of the recorded one, of all of its tensors together."""


class Failed(UserError):
    """A job that was done again came to no end; its log stays in the scratch folder."""


@dataclass
class Recomputed:
    """A job that was done again, beside its receipt."""

    job: str
    exact: bool
    """Whether bit for bit; else within the tolerance."""
    compared: int = 0
    """Files and findings."""
    differences: list[str] = field(default_factory=list)
    farthest: dict[str, float] = field(default_factory=dict)
    """Within a tolerance: of findings and of weights, how far the farthest is."""
    notes: list[str] = field(default_factory=list)


def recompute(plan: Plan, job: Job, scratch: Path, tolerance: Tolerance, across: bool = False) -> Recomputed:
    """Do a job again, and compare.

    Args:
        plan: that has the job.
        job: whose receipt holds, with all that it reads here.
        scratch: an empty folder outside of the project.
        tolerance: where the same bits can't be asked for.
        across: compare so too where this machine computes on another device than the receipt's.

    Raises:
        Failed: the job did not come to its end.
        UserError: it can't be done again here, or on this device.
    """
    recorded = receipts.read(job.receipt)
    device = _device(plan, job)
    if recorded.device != device and not across:
        raise UserError(
            f"{job.receipt}: was computed on {recorded.device}, and this machine would compute on {device}; run this there, "
            "or give --tolerance to compare all the same"
        )
    exact = recorded.device == device and is_exact(recorded)
    _lay(plan, job, scratch)
    _do(plan, job, recorded, scratch)
    made = receipts.read(scratch / job.receipt)
    found = Recomputed(job.name, exact, notes=list(_circumstances(recorded, made)))
    if exact:
        _compare_bits(job, recorded, made, found)
    else:
        _compare_numbers(job, recorded, made, scratch, tolerance, found)
    return found


def is_exact(receipt: Receipt) -> bool:
    """Whether the same job gives the same bits on the same kind of device, by what its receipt says of how it was computed."""
    recipe = receipt.settings.get("recipe")
    return receipt.device == "cpu" or (isinstance(recipe, Mapping) and recipe.get("deterministic") is True)


def _device(plan: Plan, job: Job) -> str:
    """The kind of device that a job would compute on here, as receipts name it."""
    if isinstance(job.kind, Preparation):
        return "cpu"
    import torch

    from dbot.train.device import device_of

    device = device_of(plan.params.execution.device, 0)
    return "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)


def _lay(plan: Plan, job: Job, scratch: Path) -> None:
    """Make the scratch folder: links to all that a job may read, and folders of its own for all that it may write."""
    fills = job.kind.fills(job)
    real = {*OPEN, *(fills.parents if fills is not None and not fills.is_absolute() else ())}
    if fills is not None and fills.is_absolute():
        raise UserError(f"{job.name}: fills {fills}, a folder outside of the project, and would do so again; give it a root in the project")
    # A set's smaller copy is made again with it.
    copies = {COPIES / job.scale / job.key["dataset"]} if job.kind is PREPARE else set[Path]()
    _link(Path(), scratch, {*real, COPIES / job.scale}, copies | ({fills} if fills is not None else set()))
    for needed in job.ancestors():
        (scratch / needed.folder).mkdir(parents=True, exist_ok=True)
        for path in needed.folder.iterdir():
            if path.is_file() and not path.name.startswith("."):
                (scratch / path).symlink_to(path.resolve())


def _link(folder: Path, scratch: Path, real: set[Path], without: set[Path]) -> None:
    """Link to what a folder of the project holds, but for the folders that are to be real, and for what the job will fill."""
    for path in sorted(folder.iterdir()):
        if path in without or (folder == Path() and (path.name in OWN or path.name.startswith("."))):
            continue
        if path in real and path.is_dir():
            (scratch / path).mkdir()
            _link(path, scratch, real, without)
        else:
            (scratch / path).symlink_to(path.resolve())


def _do(plan: Plan, job: Job, recorded: Receipt, scratch: Path) -> None:
    """Start a job as its rule does.

    Raises:
        Failed: it did not come to its end.
        UserError: it was done by another number of processes than it would be now.
    """
    asked = plan.resources(job)
    gpus = asked.gpus or 0
    if recorded.processes != (planned := max(1, (asked.nodes or 1) * gpus)):
        raise UserError(
            f"{job.receipt}: was computed by {recorded.processes} processes, and {planned} would do it now; "
            f"set resources.{job.verb} to as many"
        )
    file = os.path.relpath(plan.resolved.file)
    start = [sys.executable, "-m", "dbot"]
    if gpus:
        sizes = {"nodes": asked.nodes or 1, "gpus": gpus, "threads": asked.threads or 1, "memory-gb": asked.memory_gb or 1}
        start = [sys.executable, "-m", "dbot.cluster.launch", *(part for name, n in sizes.items() for part in (f"--{name}", str(n)))]
    command = [*start, *job.arguments, "--params", file]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment = {
        **kept,
        **dict.fromkeys(THREADS, str(asked.threads or 1)),  # as Snakemake sets them for its rule
        "MLFLOW_TRACKING_URI": f"sqlite:///{scratch / 'mlflow.db'}",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(Path(dbot.__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")])),
    }
    log = scratch / job.log
    log.parent.mkdir(parents=True)
    with log.open("wb") as stream:
        status = subprocess.run(command, cwd=scratch, env=environment, stdout=stream, stderr=stream, check=False).returncode
    if status or not (scratch / job.receipt).is_file():
        raise Failed(f"{job.name}: can't be computed anew: {reason_of_end(log) or f'it ended with status {status}'} (log: {log})")


def _circumstances(recorded: Receipt, made: Receipt) -> Iterator[str]:
    """By what else than then it was computed now."""
    if recorded.code != made.code:
        yield f"by other code than then ({recorded.code[:SHORT]}, now {made.code[:SHORT]})"
    for name, was, now in receipts.differences(recorded.environment, made.environment):
        yield f"with {name} {now or '–'}, then {was or '–'}"
    if recorded.device != made.device:
        yield f"on {made.device}, then {recorded.device}"


def _compare_bits(job: Job, recorded: Receipt, made: Receipt, found: Recomputed) -> None:
    for name in sorted(recorded.artifacts.keys() | made.artifacts.keys()):
        was, now = recorded.artifacts.get(name), made.artifacts.get(name)
        if was is None and name in job.kind.pictures:  # by a version that drew none
            continue
        found.compared += 1
        if was is None or now is None:
            found.differences.append(f"{name} is {'new' if was is None else 'no longer written'}")
        elif was != now:
            found.differences.append(f"{name} is another (SHA-256 {now.sha256[:SHORT]}, on the receipt {was.sha256[:SHORT]})")
    for name in sorted(recorded.results.keys() | made.results.keys()):
        found.compared += 1
        if (was_found := recorded.results.get(name)) != (now_found := made.results.get(name)):
            found.differences.append(f"{name} is {_text(now_found)}, on the receipt {_text(was_found)}")


def _compare_numbers(job: Job, recorded: Receipt, made: Receipt, scratch: Path, tolerance: Tolerance, found: Recomputed) -> None:
    """Findings, metrics and weights within a tolerance; what else is not a number is counted as not compared."""
    _near("", recorded.results, made.results, tolerance, found)
    left_out = []
    for name, artifact in recorded.artifacts.items():
        here, there = job.folder / name, scratch / job.folder / name
        if name not in made.artifacts:
            found.differences.append(f"{name} is no longer written")
        elif artifact == made.artifacts[name]:
            found.compared += 1
        elif name.endswith(WEIGHTS):
            _near_weights(name, here, there, tolerance, found)
        elif name == MEASURED:
            _near(name, _measured(here), _measured(there), tolerance, found)
        elif name == METRICS:
            _near(name, _last_epoch(here), _last_epoch(there), tolerance, found)
        else:
            left_out.append(name)
    if left_out:
        found.notes.append(f"not compared, for it holds no numbers: {', '.join(left_out)}")


def _near(where: str, was: Mapping[str, Any], now: Mapping[str, Any], tolerance: Tolerance, found: Recomputed) -> None:
    """Compare numbers with a fraction within the tolerance, and all else (counts, digests) exactly."""
    for name in sorted(was.keys() | now.keys()):
        one, other = was.get(name), now.get(name)
        found.compared += 1
        if isinstance(one, float) and isinstance(other, float):
            far = 0.0 if one == other or (math.isnan(one) and math.isnan(other)) else abs(one - other) / max(abs(one), abs(other))
            found.farthest["findings"] = max(found.farthest.get("findings", 0.0), far)
            if not far <= tolerance.findings:
                found.differences.append(f"{where and f'{where}: '}{name} is {other:.6g}, on record {one:.6g}, which is {far:.2g} apart")
        elif one != other:
            found.differences.append(f"{where and f'{where}: '}{name} is {_text(other)}, on record {_text(one)}")


def _near_weights(name: str, here: Path, there: Path, tolerance: Tolerance, found: Recomputed) -> None:
    from safetensors.torch import load_file

    was, now = load_file(here), load_file(there)
    found.compared += 1
    if {key: (tensor.shape, tensor.dtype) for key, tensor in was.items()} != {
        key: (tensor.shape, tensor.dtype) for key, tensor in now.items()
    }:
        found.differences.append(f"{name} holds other tensors")
        return
    difference = math.sqrt(sum(float((now[key].double() - was[key].double()).square().sum()) for key in was))
    size = math.sqrt(sum(float(tensor.double().square().sum()) for tensor in was.values()))
    far = difference / size if size else difference
    found.farthest["weights"] = max(found.farthest.get("weights", 0.0), far)
    if not far <= tolerance.weights:
        found.differences.append(f"{name} is {far:.2g} of its norm away from the one on record")


def _measured(path: Path) -> dict[str, Any]:
    """What a measurement found, by dotted name."""
    return flattened(json.loads(path.read_text(encoding="utf-8")))


def _last_epoch(path: Path) -> dict[str, float]:
    """The last line of a history that has numbers, without what is missing."""
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return {key: float(value) for key, value in (rows[-1] if rows else {}).items() if value}


def _text(value: Any) -> str:
    text = "missing" if value is None else str(value)
    return text[:SHORT] if len(text) == 64 else text


def check_scratch(folder: Path) -> None:
    """Refuse a scratch folder where what is computed anew would lie among the results.

    Raises:
        UserError: it is inside the project, or holds it.
    """
    here = Path.cwd().resolve()
    if not folder.is_dir() or folder.resolve().is_relative_to(here):
        raise UserError(
            f"{folder}: must be a folder outside of the project {here}, for jobs are done again in it; name another with --scratch"
        )


def drop(scratch: Path) -> None:
    """Remove a scratch folder: links in it, and never what they lead to."""
    shutil.rmtree(scratch, ignore_errors=True)


def sample(jobs: Sequence[Job], number: int, seed: int) -> list[Job]:
    """Some of the jobs, each as likely as another; the same seed takes the same ones of the same jobs."""
    import random

    by_name = {job.name: job for job in jobs}
    chosen = set(random.Random(seed).sample(sorted(by_name), min(number, len(by_name))))
    return [job for job in jobs if job.name in chosen]
