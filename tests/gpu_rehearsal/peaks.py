"""The most memory that jobs of the paper's scale take on the device: found by rehearsing them, and written down in peaks.json.

`python -m tests.gpu_rehearsal.peaks` writes it anew.
"""

import json
import tempfile
from pathlib import Path

from dbot.params.load import load
from dbot.plan import Job, Plan
from tests.gpu_rehearsal.cases import CASES
from tests.gpu_rehearsal.trainings import AS_IT_IS, Rehearsals, Variation

WRITTEN = Path(__file__).with_suffix(".json")
GIGA = 10**9
MEMORY_GB = {"h100": 80}
"""Of the devices that params/resources.yaml forecasts for."""
USABLE = 0.9
"""Share of it that tensors may take; CUDA itself, NCCL, workspaces of kernels and holes between blocks take the rest."""


def peak(job: Job, variation: Variation = AS_IT_IS) -> int:
    """Bytes of live tensors on the device at their most, in a step of a training of any scale, uncompiled."""
    with tempfile.TemporaryDirectory() as folder:
        return Rehearsals(Plan(load(Path("params.yaml"), job.scale)), Path(folder)).of(job, variation).peak


def budget(plan: Plan) -> float:
    """Bytes that a job's tensors may take on the device that the plan is for."""
    return USABLE * MEMORY_GB[plan.params.hardware.use] * GIGA


def written() -> dict[str, int]:
    """By case, the bytes that were found when it was written."""
    return json.loads(WRITTEN.read_text()) if WRITTEN.exists() else {}


def main() -> None:
    plan, found = Plan(load(Path("params.yaml"), "paper")), {}
    with tempfile.TemporaryDirectory() as folder:
        rehearsals = Rehearsals(plan, Path(folder))
        for case in CASES:
            found[case.name] = rehearsals.of(case.job(plan), case.variation).peak
            print(f"{case.name}: {found[case.name] / GIGA:.2f} GB", flush=True)
            WRITTEN.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
