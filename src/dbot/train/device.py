"""The device that a process computes on, and why there is no GPU where one was to be."""

import os

import torch

from dbot.base.errors import UserError
from dbot.base.gpus import driver, given

LEAST_DRIVER = {12: 525, 13: 580}
"""By CUDA's major version, NVIDIA's oldest driver that runs it (docs.nvidia.com/deploy/cuda-compatibility)."""


def device_of(wanted: str, local: int) -> torch.device:
    """The device of one of a node's processes.

    Args:
        wanted: `auto`, `cpu` or `cuda`.
        local: the process's number on its node; it takes the GPU of that number.

    Raises:
        UserError: a GPU was asked for, or the job was given one, and torch sees none, or not as many as there are processes.
    """
    if wanted == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        seen = torch.cuda.device_count()
        if local >= seen:
            raise UserError(f"this node's process {local + 1} has no GPU of its own, for torch sees {seen}; start one process a GPU")
        return torch.device("cuda", local)
    reason = "execution.device is cuda" if wanted == "cuda" else given(os.environ)
    if reason is None:
        return torch.device("cpu")
    raise UserError(f"{reason}, but torch sees no GPU: {_why()}; or set execution.device to cpu")


def _why() -> str:
    """What is known of torch and of the driver, and what to do."""
    if torch.version.cuda is None:
        return "this torch is built for the CPU alone; install the torch that pyproject.toml pins, with CUDA"
    built, found = f"this torch is built for CUDA {torch.version.cuda}", driver()
    if found is None:
        return f"{built}, and no driver was found; run where there is a GPU, and in a container with its driver"
    least = LEAST_DRIVER.get(int(torch.version.cuda.partition(".")[0]))
    if least is not None and int(found.partition(".")[0]) < least:
        remedy = "ask the administrators for a newer one, or install a torch for an older CUDA"
        return f"{built}, which needs driver {least} or newer, and the driver is {found}; {remedy}"
    return f"{built}, and the driver is {found}; see with nvidia-smi whether this job may use its GPUs"
