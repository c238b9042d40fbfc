"""What says that a job was given GPUs, and which driver its node has."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

LAUNCHED_WITH = "DBOT_GPUS"
"""Variable with the GPUs that a job has on each node, as `workflow/launch` was told."""
VISIBLE = "CUDA_VISIBLE_DEVICES"
NONE = {"", "-1", "NoDevFiles", "void"}
"""What `CUDA_VISIBLE_DEVICES` and Slurm's lists say where there is none."""
VERSION_FILE = Path("/proc/driver/nvidia/version")


def given(environment: Mapping[str, str]) -> str | None:
    """What says that this job was given GPUs; None where nothing does."""
    launched = environment.get(LAUNCHED_WITH, "")
    if launched.isdigit():
        return f"workflow/launch was to start a process on each of {launched} GPU(s)" if int(launched) else None
    visible = environment.get(VISIBLE)
    if visible is not None and visible.strip() in NONE:
        return None  # whoever hides them wants none
    for name in ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS", VISIBLE):
        if environment.get(name, "").strip() not in NONE:
            return f"this job was given GPUs ({name}={environment[name]})"
    number = environment.get("SLURM_GPUS_ON_NODE", "")
    return f"this job was given GPUs (SLURM_GPUS_ON_NODE={number})" if number.isdigit() and int(number) else None


def driver() -> str | None:
    """Version of NVIDIA's driver on this node; None: there is none to be seen."""
    try:
        ask = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        said = subprocess.run(ask, capture_output=True, text=True, timeout=60, check=True).stdout.split()
        if said and said[0][0].isdigit():
            return said[0]
    except (OSError, subprocess.SubprocessError):
        pass  # it may be missing in a container, where the kernel still knows
    try:
        found = re.search(r"\b\d+\.\d+(\.\d+)?\b", VERSION_FILE.read_text(errors="replace"))
    except OSError:
        return None
    return found[0] if found else None
