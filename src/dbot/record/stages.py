"""dvc.yaml, generated from the plan: what DVC keeps of each job, and what it came from.

The file at the top holds the jobs of the default scale's table, whether or not they ran. Any other
job gets its stage, in ``results/<scale>/dvc.yaml``, only when it is recorded: stages that never ran
make `dvc pull` fail after it has brought everything there is, and drown `dvc status` and
`dvc metrics show`. All commands of DVC read all of these files.

Every stage is frozen: `dvc repro` and `dvc exp run`, forced or not, then only verify its outputs.
Receipts and other small files are for git; DVC notes their digests.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from dbot.base.files import write_whole
from dbot.plan import DENSE, KEPT, METRICS, MODEL, RESULTS, STUDENT, Job, Plan

FILE = Path("dvc.yaml")
LOCK_FILE = "dvc.lock"
CACHED = (".safetensors", ".tsv")
"""Files that may be large: DVC's cache keeps them, git ignores them."""
PLOTS: Mapping[str, Mapping[str, str]] = {
    METRICS: {"x": "epoch", "y": "loss"},
    "attention_distance.csv": {"template": "scatter", "x": "layer", "y": "distance"},
    "singular_shares.csv": {"template": "scatter", "x": "layer", "y": "share"},
}
"""By name, how DVC draws a file of numbers."""
HEADER = (
    "# Written by `dbot stages` and `dbot record` from params.yaml: don't edit it. Snakemake runs the jobs, DVC keeps what they wrote.\n"
)


def stage_name(job: Job) -> str:
    """``demo-distill-B-B-stage1``: letters, digits, - and _ are all that DVC allows."""
    return "-".join((job.scale, *job.name.split("/")))


def write_stages(plan: Plan, jobs: Iterable[Job] = ()) -> dict[Path, list[str]]:
    """Bring the files of stages into step with the plan; returns, for each file, the names of the stages of those jobs.

    Args:
        plan: of the default scale, or of another one together with jobs.
        jobs: those to be recorded; none writes the file at the top only.
    """
    default = plan.scale == plan.params.scale
    table = {stage_name(each): each for each in plan.jobs()} if default else {}
    if default:
        _write(FILE, _document(plan, table.values()))
        # A job that has come into the table since it was recorded may not be in two files.
        for path in RESULTS.glob(f"*/{FILE}"):
            others = _read(path)
            if others["stages"].keys() & table.keys():
                _write(path, {"stages": {name: stage for name, stage in others["stages"].items() if name not in table}})
    named = {stage_name(job): job for job in jobs}
    apart = {name: job for name, job in named.items() if name not in table}
    path = RESULTS / plan.scale / FILE
    if apart:
        wanted = _document(plan, apart.values(), wdir="../..", taken=_outs_elsewhere(path))
        _write(path, {"stages": dict(sorted({**_read(path)["stages"], **wanted["stages"]}.items()))})
    return {file: names for file, names in ((FILE, [name for name in named if name in table]), (path, list(apart))) if names}


def stages_text(plan: Plan) -> str:
    """What dvc.yaml says for the default scale."""
    return _text(_document(plan, plan.jobs()))


def recorded_digests() -> dict[Path, str]:
    """By path, the MD5 that DVC's lock files have for each file (not folder) that a stage wrote."""
    digests = {}
    for path in (Path(LOCK_FILE), *RESULTS.glob(f"*/{LOCK_FILE}")):
        if not path.exists():
            continue
        for stage in (yaml.load(path.read_text(), yaml.CBaseLoader).get("stages") or {}).values():
            for out in stage.get("outs", []):
                digests[Path(out["path"])] = out["md5"]
    return {path: md5 for path, md5 in digests.items() if not md5.endswith(".dir")}


def _document(plan: Plan, jobs: Iterable[Job], wdir: str | None = None, taken: Iterable[str] = ()) -> dict[str, Any]:
    stages: dict[str, Any] = {}
    models: dict[str, Any] = {}
    for job in jobs:
        stages[stage_name(job)] = {**({"wdir": wdir} if wdir else {}), **_stage(plan, job, set(taken))}
        if wdir is None and (model := _model(plan, job)) is not None:
            models[stage_name(job)] = model
    return {"stages": stages, **({"artifacts": models} if models else {})}


def _stage(plan: Plan, job: Job, taken: set[str]) -> dict[str, Any]:
    outs: list[Any] = []
    plots, metrics = [], []
    if job.verb == "generate" and job.settings["root"] not in taken:
        outs.append(job.settings["root"])
    for name in (job.receipt.name, *job.artifacts):
        path = (job.folder / name).as_posix()
        if name.endswith(CACHED):
            outs.append(path)
        elif name in PLOTS:
            plots.append({path: {"cache": False, **PLOTS[name]}})
        elif name == "metrics.json":
            metrics.append({path: {"cache": False}})
        else:
            outs.append({path: {"cache": False}})
    entry = {
        "cmd": job.command,
        "deps": [needed.receipt.as_posix() for needed in job.inputs.values()],
        "params": [{os.path.relpath(plan.resolved.file): plan.keys(job)}],
        "outs": outs,
        "metrics": metrics,
        "plots": plots,
    }
    return {**{key: value for key, value in entry.items() if value}, "frozen": True}


def _model(plan: Plan, job: Job) -> dict[str, Any] | None:
    """The model that a job makes, by the name under which DVC registers it."""
    if job.verb == "fetch":
        return {
            "path": (job.folder / STUDENT["fetch"]).as_posix(),
            "type": "model",
            "desc": f"released weights {job.settings['released']['file']}, scale {job.scale}",
            "labels": [job.scale, job.key["released"], "released"],
        }
    if job.verb not in KEPT:
        return None
    row = plan.params.rows[job.key["row"]]
    title = plan.params.architectures[row.architecture].title
    if job.verb == "distill":
        file, kind, what = "student.safetensors", "student", f"student of stage {job.key['stage']}"
    elif job.verb in DENSE.values():
        kind = "detector" if job.verb == "detect" else "segmenter"
        file, what = MODEL, f"{kind} trained with seed {job.key['seed']}"
    elif job.verb == "transfer":
        file, kind, what = MODEL, "classifier", f"transferred to {job.key['dataset']} with seed {job.key['seed']}"
    else:
        select = plan.params.recipes.finetune[row.recipe].select
        file, kind, what = f"{select}.safetensors", "classifier", f"fine-tuned with seed {job.key['seed']}"
    return {
        "path": (job.folder / file).as_posix(),
        "type": "model",
        "desc": f"{title}, row {job.key['row']}, {what}, scale {job.scale}",
        "labels": [job.scale, job.key["row"], kind],
    }


def _outs_elsewhere(path: Path) -> set[str]:
    """Outs of the other files: DVC refuses a path that two stages write, such as a data set that two scales share."""
    files = {FILE, *RESULTS.glob(f"*/{FILE}")} - {path}
    return {out for file in files for stage in _read(file)["stages"].values() for out in stage.get("outs", []) if isinstance(out, str)}


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"stages": {}}
    found = yaml.load(path.read_text(), yaml.CSafeLoader) or {}
    return {**found, "stages": found.get("stages") or {}}


def _write(path: Path, document: dict[str, Any]) -> None:
    text = _text(document).encode()
    if not path.exists() or path.read_bytes() != text:
        write_whole(path, text)


def _text(document: dict[str, Any]) -> str:
    return HEADER + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=140, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Without anchors: equal lists are written out."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
