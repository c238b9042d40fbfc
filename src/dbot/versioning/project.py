"""dvc.yaml: what the commands of DVC show of this project's demo. It holds no pipeline: Snakemake runs the jobs.

What DVC keeps is named by the `.dvc` files beside the results; here stand the models by name, the numbers of the
table's cells, and the curves of training. Names of what was not built yet do no harm.
"""

from pathlib import Path
from typing import Any

import yaml

from dbot.plan import DENSE, KEPT, METRICS, MODEL, STUDENT, Job, Plan

FILE = Path("dvc.yaml")
HEADER = (
    "# What `dvc metrics`, `dvc plots` and `dvc artifacts` show of the demo, by `dbot schema` from params.yaml: don't edit it.\n"
    "# Snakemake runs the jobs; the .dvc files beside the results name what DVC keeps of them.\n"
)


def project_text(plan: Plan) -> str:
    """What dvc.yaml says for the default scale."""
    jobs = plan.jobs()
    curves = {title: _curves(jobs, verb) for title, verb in (("pre-training", "distill"), ("fine-tuning", "finetune"))}
    document = {
        "metrics": [(job.folder / "metrics.json").as_posix() for job in jobs if "metrics.json" in job.artifacts and job.verb == "evaluate"],
        "plots": [{title: {"x": "epoch", "y": files, "y_label": "loss"}} for title, files in curves.items() if files],
        "artifacts": {"-".join(job.name.split("/")): _Line(_model(plan, job)) for job in jobs if job.verb in KEPT},
    }
    return HEADER + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=10**6, allow_unicode=True)


def _curves(jobs: list[Job], verb: str) -> dict[str, str]:
    return {(job.folder / METRICS).as_posix(): "loss" for job in jobs if job.verb == verb}


def _model(plan: Plan, job: Job) -> dict[str, Any]:
    """The model that a job makes."""
    if job.verb == "fetch":
        return {
            "path": (job.folder / STUDENT["fetch"]).as_posix(),
            "type": "model",
            "desc": f"released weights {job.settings['released']['file']}",
            "labels": [job.scale, job.key["released"], "released"],
        }
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
        "desc": f"{title}, row {job.key['row']}, {what}",
        "labels": [job.scale, job.key["row"], kind],
    }


class _Line(dict[str, Any]):
    """What stands on one line."""


class _Dumper(yaml.SafeDumper):
    """Without anchors: equal lists are written out."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(_Line, lambda dumper, line: dumper.represent_mapping("tag:yaml.org,2002:map", line, flow_style=True))
