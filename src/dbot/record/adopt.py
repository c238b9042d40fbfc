"""Taking over what git and DVC brought into a clone, so that Snakemake retrains nothing of it."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from dbot.base.errors import UserError
from dbot.plan import RESULTS, Job, Plan
from dbot.record.check import check

MARK = "recorded.json"
"""What the rule `record` writes."""


@dataclass
class Adoption:
    """Which jobs of a plan can be taken over."""

    adopted: list[Job] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """By the job's name, why not."""


def adoption(plan: Plan) -> Adoption:
    """Jobs whose receipt holds, whose files are there, and whose ancestors are taken over as well."""
    found = Adoption()
    for job in plan.jobs():
        before = next((needed.name for needed in job.inputs.values() if needed.name in found.refused), None)
        if before is not None:
            found.refused[job.name] = f"{before}, which it needs, is not"
            continue
        try:
            check(job)
            _check_data(job)
        except UserError as error:
            found.refused[job.name] = str(error)
        else:
            found.adopted.append(job)
    return found


def outputs(plan: Plan, found: Adoption) -> list[Path]:
    """The files that Snakemake shall take for made by the jobs that are there now."""
    files = [job.folder / name for job in found.adopted for name in (job.receipt.name, *job.artifacts)]
    marks = [job.folder / MARK for job in found.adopted]
    if not found.refused:
        marks.append(RESULTS / plan.scale / MARK)
    return [*files, *(mark for mark in marks if mark.exists())]


def touch(plan: Plan, files: list[Path]) -> None:
    """Have Snakemake note the files as made with the present parameters and code.

    Raises:
        UserError: Snakemake fails.
    """
    command = ["--touch", "--force", "--no-hooks", "--cores", "1", "--config", f"scale={plan.scale}", "--", *map(str, files)]
    done = subprocess.run([sys.executable, "-m", "snakemake", *command], capture_output=True, text=True, env=os.environ, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise UserError(
            f"snakemake --touch failed ({lines[-1].strip() if lines else 'it says nothing'}); `snakemake -n` says what is wrong"
        )


def _check_data(job: Job) -> None:
    """The images themselves are no job's artifact: their folder must be there at least; `dbot verify` hashes them."""
    root = job.settings.get("root") if job.verb == "generate" else None
    if root is not None and not Path(root).is_dir():
        raise UserError(f"{root}: is missing; `dvc pull {root}` brings it where DVC keeps it")
