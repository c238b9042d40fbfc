"""Which GPUs a job takes where more are visible than it asked for: on a machine without Slurm, or in an allocation for many jobs."""

import fcntl
import os
import subprocess
import tempfile
import time
from pathlib import Path

from dbot.base.gpus import VISIBLE


def visible_gpus() -> list[str]:
    """Names of the GPUs that this process may use: indices or UUIDs, as CUDA takes them."""
    if (named := os.environ.get(VISIBLE)) is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    try:
        said = subprocess.run(
            ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return said.stdout.split()


def reserve_gpus(wanted: int, folder: Path | None = None) -> list[str]:
    """Narrow the visible GPUs to as many as the job asked for, so that two jobs side by side don't meet on the first.

    Each GPU has a lock file, whose lock the job's processes inherit and hold until the last of them has ended.
    Waits while others hold too many. Nothing is done where no more are visible than were asked for.

    Args:
        wanted: GPUs that the job asked for on this machine.
        folder: where the lock files lie, one folder for all of a user's jobs on this machine.

    Returns:
        The names of those taken; empty where there was nothing to choose.
    """
    visible = visible_gpus()
    if not 0 < wanted < len(visible):
        return []
    folder = folder or Path(tempfile.gettempdir()) / f"dbot-gpus-{os.getuid()}"
    folder.mkdir(exist_ok=True, mode=0o700)
    told = False
    while True:
        taken: dict[str, int] = {}
        for name in visible:
            handle = os.open(folder / f"{name.replace('/', '_')}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                continue
            taken[name] = handle
            if len(taken) == wanted:
                for held in taken.values():
                    os.set_inheritable(held, True)
                os.environ[VISIBLE] = ",".join(taken)
                return list(taken)
        for held in taken.values():
            os.close(held)
        if not told:
            print(f"workflow/launch: waiting for {wanted} of {len(visible)} GPUs to be free", flush=True)
            told = True
        time.sleep(1)
