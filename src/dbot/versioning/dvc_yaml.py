"""dvc.yaml: what the commands of DVC show of this project's demo. It holds no pipeline: Snakemake runs the jobs.

What DVC keeps is named by the `.dvc` files beside the results; here stand the models by name, the numbers of the
table's cells, and the curves of training. Names of what was not built yet do no harm.
"""

from pathlib import Path
from typing import Any

import yaml

from dbot.jobs.distill import DISTILL
from dbot.jobs.evaluate import EVALUATE
from dbot.jobs.finetune import FINETUNE
from dbot.jobs.kind import MEASURED, METRICS, Kind
from dbot.plan import Job, Plan

FILE = Path("dvc.yaml")
HEADER = (
    "# What `dvc metrics`, `dvc plots` and `dvc artifacts` show of the demo, by `dbot schema` from params.yaml: don't edit it.\n"
    "# Snakemake runs the jobs; the .dvc files beside the results name what DVC keeps of them.\n"
)


def project_text(plan: Plan) -> str:
    """What dvc.yaml says for the default scale."""
    jobs = plan.jobs()
    curves = {title: _curves(jobs, kind) for title, kind in (("pre-training", DISTILL), ("fine-tuning", FINETUNE))}
    models = {"-".join(job.name.split("/")): (job, model) for job in jobs if (model := job.kind.model(job, plan.params)) is not None}
    document = {
        "metrics": [(job.folder / MEASURED).as_posix() for job in jobs if job.kind is EVALUATE],
        "plots": [{title: {"x": "epoch", "y": files, "y_label": "loss"}} for title, files in curves.items() if files],
        "artifacts": {
            name: _Line(path=(job.folder / model.file).as_posix(), type="model", desc=model.description, labels=[model.type])
            for name, (job, model) in models.items()
        },
    }
    return HEADER + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=10**6, allow_unicode=True)


def _curves(jobs: list[Job], kind: Kind) -> dict[str, str]:
    return {(job.folder / METRICS).as_posix(): "loss" for job in jobs if job.kind is kind}


class _Line(dict[str, Any]):
    """What stands on one line."""


class _Dumper(yaml.SafeDumper):
    """Without anchors: equal lists are written out."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(_Line, lambda dumper, line: dumper.represent_mapping("tag:yaml.org,2002:map", line, flow_style=True))
